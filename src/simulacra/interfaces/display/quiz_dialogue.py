"""The questions of a quiz in a terminal: one after the other, each answer explained, the score at the end."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulacra.core.errors import UsageError
from simulacra.interfaces.display.console import program
from simulacra.quizzes.markdown import plain_of
from simulacra.quizzes.question import ChoiceQuestion, Grade, NumberQuestion, OrderQuestion, Question
from simulacra.quizzes.quiz import Quiz
from simulacra.quizzes.shuffling import shown_order

_LETTERS = "abcdefghijklmnop"
_WIDEST = 100  # columns
_DIFFICULTIES = {1: "easy", 2: "medium", 3: "hard"}

Grading = Callable[[str], Grade]  # grades an answer as it was written; raises ValueError, with what is expected, where it cannot


@dataclass(frozen=True)
class _Asked:
    """The lines of a question, the prompt for its answer, and how answers are graded."""

    lines: tuple[str, ...]
    prompt: str
    grade: Grading


def ask_all(quiz: Quiz, questions: Sequence[Question], seed: int) -> None:
    """Ask questions until all are asked or the input ends; print the score. Raises UsageError where there is no input at all."""
    grades: dict[str, Grade | None] = {}
    count = f"{len(questions)} question{'s' if len(questions) > 1 else ''}"
    _print(f"{quiz.title}: {count}. Enter alone skips a question, Ctrl-D ends the quiz.")
    for number, question in enumerate(questions, 1):
        print(f"\nQuestion {number} of {len(questions)} ({_DIFFICULTIES[question.difficulty]})")
        try:
            grades[question.id] = _ask(question, seed)
        except EOFError:
            if not grades and not sys.stdin.isatty():
                raise UsageError(
                    "a quiz reads answers from standard input, which is empty: start it in a terminal, or use --json"
                ) from None
            print()
            break
        except KeyboardInterrupt:
            print()
            break
        _explain(question, grades[question.id])
    _score(quiz, questions, grades)


def _ask(question: Question, seed: int) -> Grade | None:
    """Return the grade of an answer; None where the question is skipped."""
    asked = _asked(question, seed)
    _print(plain_of(question.text))
    for line in asked.lines:
        _print(line, indent="     ", first="  ")
    while written := _read(f"{asked.prompt}: ").strip():
        try:
            return asked.grade(written)
        except ValueError as error:
            _print(str(error))
    return None


def _read(prompt: str) -> str:
    """Read one line. Raises EOFError where the input ends or is closed."""
    if sys.stdin is None or sys.stdin.closed:
        raise EOFError
    return input(prompt)


def _asked(question: Question, seed: int) -> _Asked:
    match question:
        case ChoiceQuestion():
            return _choice(question, shown_order(question, seed))
        case NumberQuestion():
            return _number(question)
        case OrderQuestion():
            return _order(question, shown_order(question, seed))
        case _:
            raise TypeError(type(question))


def _choice(question: ChoiceQuestion, order: Sequence[int]) -> _Asked:
    letters = _LETTERS[: len(order)]

    def grade(written: str) -> Grade:
        if len(written) != 1 or written.lower() not in letters:
            raise ValueError(f"Enter one letter from a to {letters[-1]}.")
        return question.grade(order[letters.index(written.lower())])

    picture = question.picture
    about = (f"[picture] {picture.text}", f"[file] {picture.path}") if picture else ()
    choices = [f"{letter}) {plain_of(question.choices[place].text)}" for letter, place in zip(letters, order, strict=True)]
    return _Asked((*about, *choices), f"Your answer (a to {letters[-1]})", grade)


def _number(question: NumberQuestion) -> _Asked:
    def grade(written: str) -> Grade:
        try:
            return question.grade(question.value(written))
        except ValueError:
            raise ValueError("Enter a number with a decimal point, such as 4.5.") from None

    return _Asked((), f"Your answer{f' ({question.unit})' if question.unit else ''}", grade)


def _order(question: OrderQuestion, order: Sequence[int]) -> _Asked:
    letters = _LETTERS[: len(order)]

    def grade(written: str) -> Grade:
        given = [letter for letter in written.lower() if letter not in " ,"]
        if sorted(given) != list(letters):
            raise ValueError(
                f"Enter each letter from a to {letters[-1]} once, the first step first, such as {' '.join(letters)}."
            )
        return question.grade([order[letters.index(letter)] for letter in given])

    steps = [f"{letter}) {plain_of(question.steps[place])}" for letter, place in zip(letters, order, strict=True)]
    return _Asked(tuple(steps), f"The right order of {' '.join(letters)}", grade)


def _explain(question: Question, grade: Grade | None) -> None:
    if grade is None:
        print("Skipped.")
        return
    print("Right." if grade.correct else "Not right.")
    if grade.given:
        _print(plain_of(grade.given))
    if not grade.correct:
        _print(f"Right answer:{chr(10) if isinstance(question, OrderQuestion) else ' '}{plain_of(grade.right)}")
    _print(plain_of(grade.explanation))


def _score(quiz: Quiz, questions: Sequence[Question], grades: dict[str, Grade | None]) -> None:
    right = sum(grade is not None and grade.correct for grade in grades.values())
    answered = sum(grade is not None for grade in grades.values())
    print(f"\nScore: {right} of {len(questions)}{'' if answered == len(questions) else f', {answered} answered'}")
    wrong = [question for question in questions if (grade := grades.get(question.id)) is not None and not grade.correct]
    if wrong:
        print("Read again:")
        for place in dict.fromkeys(quiz.about(question) for question in wrong):
            print(f"  {place}")
    print(f"next:  {program()} quiz    # all quizzes")


def _print(text: str, indent: str = "", first: str = "") -> None:
    """Print a text, each of its lines wrapped at the width of the terminal; lines of code are not wrapped."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    for line in text.split("\n"):
        if line.startswith(" "):
            print(line.rstrip())
        else:
            print(
                textwrap.fill(
                    line, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
                )
            )
        first = indent

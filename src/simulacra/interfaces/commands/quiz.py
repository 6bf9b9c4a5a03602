"""Answer questions on a page of the documentation.

Without PAGE: list the quizzes. Every answer is explained; the first answer to each question counts. Enter alone skips a question,
Ctrl-D ends the quiz.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from random import Random, randrange
from typing import Any

from simulacra import quizzes
from simulacra.core.errors import UsageError
from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.display.quiz_dialogue import ask_all
from simulacra.interfaces.ending import ending
from simulacra.interfaces.tables import table
from simulacra.quizzes.question import Question
from simulacra.quizzes.quiz import Quiz

EXAMPLES = examples("simulacra quiz", "simulacra quiz vae", "simulacra quiz vae --count 3 --difficulty 1")
POSITION = ("start", 4)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the page and the flags."""
    parser.add_argument("page", nargs="?", metavar="PAGE", help="the name of a quiz, as 'simulacra quiz' lists it")
    parser.add_argument("--count", type=int, metavar="N", help="number of questions, chosen at random (default: all)")
    text = "only questions of this difficulty: 1 easy, 2 medium, 3 hard (default: all)"
    parser.add_argument("--difficulty", type=int, choices=(1, 2, 3), metavar="{1,2,3}", help=text)
    text = "seed of the choice of questions and of the order of their answers (default: another one each time)"
    parser.add_argument("--seed", type=int, metavar="N", help=text)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """List the quizzes, print the questions of one as JSON, or ask them."""
    if parsed.page is None:
        return _list(console)
    quiz = quizzes.find(parsed.page)
    seed = randrange(2**31) if parsed.seed is None else parsed.seed
    questions = _chosen(quiz, parsed.count, parsed.difficulty, seed)
    if parsed.json:
        console.result(_content(quiz, questions), str)
        return 0
    ask_all(quiz, questions, seed)
    return 0


def _list(console: Console) -> int:
    found = [quizzes.find(name) for name in quizzes.names()]
    rows = [(quiz.name, str(len(quiz.questions)), quiz.title) for quiz in found]
    content = {quiz.name: {"title": quiz.title, "page": quiz.page, "questions": len(quiz.questions)} for quiz in found}
    console.result(content, lambda: ending([table(("name", "questions", "page"), rows)], "quiz NAME"))
    return 0


def _chosen(quiz: Quiz, count: int | None, difficulty: int | None, seed: int) -> list[Question]:
    """Return the questions that are asked, in the order of the file. Raises UsageError where there are none."""
    found = [question for question in quiz.questions if difficulty in (None, question.difficulty)]
    if not found:
        raise UsageError(f"the quiz {quiz.name!r} has no question of difficulty {difficulty}: use another one")
    if count is None:
        return found
    if count < 1:
        raise UsageError(f"--count is {count}, expected 1 or more")
    chosen = sorted(Random(seed).sample(range(len(found)), min(count, len(found))))
    return [found[place] for place in chosen]


def _content(quiz: Quiz, questions: Sequence[Question]) -> dict[str, Any]:
    """Return the questions with their answers and explanations."""
    listed = [{"kind": question.kind} | asdict(question) for question in questions]
    return {"name": quiz.name, "page": quiz.page, "title": quiz.title, "questions": listed}

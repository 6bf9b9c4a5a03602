"""Questions of each kind, and the grading of answers. All texts are Markdown with mathematics in $...$ (see markdown.py)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"
_ROUNDING = 1e-9  # relative error of decimal fractions, so that the ends of a tolerance count as right


@dataclass(frozen=True)
class Grade:
    """The result of one answer.

    given: on the answer that was given, empty where there is nothing to explain; right: the right answer; explanation: why it is.
    """

    correct: bool
    given: str
    right: str
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Question(ABC):
    """What all kinds have. difficulty: 1 easy, 2 medium, 3 hard; section: anchor of the heading of the page that it tests."""

    id: str
    difficulty: int
    section: str
    text: str

    @property
    @abstractmethod
    def kind(self) -> str:
        """The kind, as in the files."""

    @abstractmethod
    def texts(self) -> list[str]:
        """Return all texts in Markdown."""


@dataclass(frozen=True)
class Choice:
    """One of the answers to choose from, with an explanation of why it is right or wrong."""

    text: str
    correct: bool
    explanation: str


@dataclass(frozen=True)
class Picture:
    """A picture that a question is about. file: in PICTURES; text: its description; command: how it was made."""

    file: str
    text: str
    command: str

    @property
    def path(self) -> Path:
        """The path of the file."""
        return PICTURES / self.file


@dataclass(frozen=True, kw_only=True)
class ChoiceQuestion(Question):
    """A question with several choices, of which exactly one is right; about a picture, or without one."""

    choices: tuple[Choice, ...]
    picture: Picture | None = None

    @property
    def kind(self) -> str:
        """The kind, as in the files."""
        return "picture" if self.picture else "choice"

    def texts(self) -> list[str]:
        """Return all texts in Markdown."""
        return [self.text, *(text for choice in self.choices for text in (choice.text, choice.explanation))]

    def grade(self, chosen: int) -> Grade:
        """Grade the choice of choices[chosen]."""
        given, right = self.choices[chosen], next(choice for choice in self.choices if choice.correct)
        return Grade(given.correct, "" if given.correct else given.explanation, right.text, right.explanation)


@dataclass(frozen=True)
class Mistake:
    """A typical wrong value, and the mistake that leads to it."""

    value: float
    explanation: str


@dataclass(frozen=True, kw_only=True)
class NumberQuestion(Question):
    """A question whose answer is a number. tolerance: absolute; unit: of the answer, empty for none."""

    answer: float
    tolerance: float
    explanation: str
    unit: str = ""
    mistakes: tuple[Mistake, ...] = ()

    @property
    def kind(self) -> str:
        """The kind, as in the files."""
        return "number"

    def texts(self) -> list[str]:
        """Return all texts in Markdown."""
        return [self.text, self.explanation, *(mistake.explanation for mistake in self.mistakes)]

    def grade(self, value: float) -> Grade:
        """Grade a number; within the tolerance of a typical wrong value its mistake is explained."""
        near = sorted((abs(value - mistake.value), mistake.explanation) for mistake in self.mistakes)
        correct = self._equal(value, self.answer)
        given = near[0][1] if near and not correct and near[0][0] <= self._reach(value) else ""
        return Grade(correct, given, self.right, self.explanation)

    @property
    def right(self) -> str:
        """The right answer with its unit."""
        return f"{self.answer:g} {self.unit}".strip()

    def value(self, written: str) -> float:
        """Return a number as a user wrote it: with or without the unit, also as a fraction. Raises ValueError.

        >>> NumberQuestion(
        ...     id="half", difficulty=1, section="", text="", answer=0.5, tolerance=0.01, explanation="", unit="nats"
        ... ).value(" 1/2 nats")
        0.5
        """
        plain = written.strip().removesuffix(self.unit).strip().replace("\N{MINUS SIGN}", "-")
        above, slash, below = plain.partition("/")
        value = float(above) / (float(below) or math.nan) if slash else float(plain)
        if not math.isfinite(value):
            raise ValueError(f"{written!r} is not a finite number")
        return value

    def _equal(self, value: float, other: float) -> bool:
        return abs(value - other) <= self._reach(other)

    def _reach(self, value: float) -> float:
        return self.tolerance + _ROUNDING * abs(value)


@dataclass(frozen=True, kw_only=True)
class OrderQuestion(Question):
    """A question whose answer is an order of steps. steps: in the right order."""

    steps: tuple[str, ...]
    explanation: str

    @property
    def kind(self) -> str:
        """The kind, as in the files."""
        return "order"

    def texts(self) -> list[str]:
        """Return all texts in Markdown."""
        return [self.text, self.explanation, *self.steps]

    def grade(self, order: Sequence[int]) -> Grade:
        """Grade an order: the indices of `steps`, the first step first."""
        correct = list(order) == list(range(len(self.steps)))
        right = "  \n".join(f"{number}. {step}" for number, step in enumerate(self.steps, 1))
        return Grade(correct, "" if correct else misplaced(order), right, self.explanation)


def misplaced(order: Sequence[int]) -> str:
    """Return where an order differs first from the right one.

    >>> misplaced([0, 2, 1])
    'Step 1 is right, step 2 is not.'
    """
    first = next(place for place, step in enumerate(order) if place != step)
    if first == 0:
        return "Step 1 is not right."
    return f"{'Step 1 is' if first == 1 else f'Steps 1 to {first} are'} right, step {first + 1} is not."

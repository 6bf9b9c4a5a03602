"""Quizzes: one file of questions for each page of the documentation, for the site, the terminal and notebooks."""

from functools import cache
from pathlib import Path

from simulacra.core.errors import unknown
from simulacra.quizzes.quiz import Quiz
from simulacra.quizzes.reading import read_quiz

FOLDER = Path(__file__).parent / "questions"
"""The folder of the files of questions, PAGE.toml."""


def names() -> list[str]:
    """Return the names of all quizzes: those of the pages that have questions."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def find(name: str) -> Quiz:
    """Return the quiz of a page. Raises UsageError for an unknown name, DataError for a file that is not valid."""
    if name not in names():
        raise unknown("quiz", name, names())
    return read_quiz(FOLDER / f"{name}.toml")

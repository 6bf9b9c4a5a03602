"""The files of questions: TOML, checked with an error that names the file and the question."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simulacra.core.errors import DataError
from simulacra.quizzes.markdown import html_of
from simulacra.quizzes.question import (
    Choice,
    ChoiceQuestion,
    Mistake,
    NumberQuestion,
    OrderQuestion,
    Picture,
    Question,
)
from simulacra.quizzes.quiz import Quiz

_COMMON: Mapping[str, type] = {"id": str, "kind": str, "difficulty": int, "section": str, "text": str}
_OF_KIND: Mapping[str, Mapping[str, type]] = {
    "choice": {"choice": list},
    "picture": {"choice": list, "picture": str, "picture_text": str, "command": str},
    "number": {"answer": float, "tolerance": float, "explanation": str},
    "order": {"steps": list, "explanation": str},
}
_OPTIONAL: Mapping[str, Mapping[str, type]] = {"number": {"unit": str, "wrong": list}}
_CHOICE: Mapping[str, type] = {"text": str, "correct": bool, "explanation": str}
_WRONG: Mapping[str, type] = {"value": float, "explanation": str}
_FEWEST = 3  # choices, or steps to order


def read_quiz(path: Path) -> Quiz:
    """Read and check one file of questions. Raises DataError."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not valid TOML: {error}") from None
    _check(content, {"page": str, "title": str, "question": list}, {}, str(path))
    questions: list[Question] = []
    for number, table in enumerate(content["question"], 1):
        where = f"{path}, question {table.get('id', number)!r}"
        questions.append(_question(table, where))
        if [question.id for question in questions].count(questions[-1].id) > 1:
            raise DataError(f"{where}: the id is not unique: use another one")
    return Quiz(path.stem, content["page"], content["title"], tuple(questions))


def _question(table: dict[str, Any], where: str) -> Question:
    kind = str(table.get("kind"))
    if kind not in _OF_KIND:
        raise DataError(f"{where}: kind is {kind!r}, expected one of {', '.join(_OF_KIND)}")
    _check(table, {**_COMMON, **_OF_KIND[kind]}, _OPTIONAL.get(kind, {}), where)
    if table["difficulty"] not in (1, 2, 3):
        raise DataError(f"{where}: difficulty is {table['difficulty']}, expected 1, 2 or 3")
    question = _MADE[kind](table, where)
    for text in question.texts():
        try:
            html_of(text)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
    return question


def _common(table: dict[str, Any]) -> dict[str, Any]:
    return {name: table[name] for name in ("id", "difficulty", "section", "text")}


def _choice(table: dict[str, Any], where: str) -> Question:
    for number, choice in enumerate(table["choice"], 1):
        _check(choice, _CHOICE, {}, f"{where}, choice {number}")
    choices = tuple(Choice(**choice) for choice in table["choice"])
    if len(choices) < _FEWEST:
        raise DataError(f"{where}: {len(choices)} choices, expected at least {_FEWEST}")
    if (right := sum(choice.correct for choice in choices)) != 1:
        raise DataError(f"{where}: {right} choices are correct, expected exactly one")
    if len({choice.text for choice in choices}) < len(choices):
        raise DataError(f"{where}: two choices have the same text")
    picture = None
    if table["kind"] == "picture":
        picture = Picture(table["picture"], table["picture_text"], table["command"])
        if not picture.path.is_file():
            raise DataError(f"{where}: the picture {picture.path} does not exist")
    return ChoiceQuestion(**_common(table), choices=choices, picture=picture)


def _number(table: dict[str, Any], where: str) -> Question:
    for number, mistake in enumerate(table.get("wrong", []), 1):
        _check(mistake, _WRONG, {}, f"{where}, wrong {number}")
    mistakes = tuple(Mistake(float(item["value"]), item["explanation"]) for item in table.get("wrong", []))
    facts = {name: table[name] for name in ("answer", "tolerance", "explanation")}
    made = NumberQuestion(**_common(table), **facts, unit=table.get("unit", ""), mistakes=mistakes)
    if made.tolerance < 0:
        raise DataError(f"{where}: tolerance is {made.tolerance}, expected 0 or more")
    for mistake in mistakes:
        if made.grade(mistake.value).correct:
            raise DataError(f"{where}: the wrong value {mistake.value:g} is within the tolerance of the answer")
    return made


def _order(table: dict[str, Any], where: str) -> Question:
    steps = tuple(table["steps"])
    if len(set(steps)) < len(steps) or len(steps) < _FEWEST or not all(isinstance(step, str) for step in steps):
        raise DataError(f"{where}: steps are {table['steps']}, expected at least {_FEWEST} different texts")
    return OrderQuestion(**_common(table), steps=steps, explanation=table["explanation"])


_MADE: Mapping[str, Callable[[dict[str, Any], str], Question]] = {
    "choice": _choice,
    "picture": _choice,
    "number": _number,
    "order": _order,
}


def _check(table: Mapping[str, Any], required: Mapping[str, type], optional: Mapping[str, type], where: str) -> None:
    """Raise DataError where a table lacks an entry, has an unknown one, or one of another type or without content."""
    known = {**required, **optional}
    if missing := [name for name in required if name not in table]:
        raise DataError(f"{where}: {', '.join(missing)} is missing")
    if unknown := [name for name in table if name not in known]:
        raise DataError(f"{where}: unknown entry {unknown[0]!r}, expected {', '.join(known)}")
    for name, value in table.items():
        kind = known[name]
        number = kind is float and isinstance(value, int) and not isinstance(value, bool)
        if not (number or type(value) is kind) or value in ("", []):
            raise DataError(f"{where}: {name} is {value!r}, expected {'a number' if kind is float else f'a {kind.__name__}'}")

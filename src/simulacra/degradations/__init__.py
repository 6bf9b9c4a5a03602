"""Degradations of images: named operators such as `quadrants:1` or `blur:1.5`, composed with `+`, as pure functions."""

from simulacra.core.errors import UsageError, unknown
from simulacra.degradations.degradation import Degradation, Degraded, Draw, Operator
from simulacra.degradations.masks import Quadrants

__all__ = ["OPERATORS", "Degradation", "Degraded", "Draw", "Operator", "parse"]

OPERATORS: dict[str, type[Operator]] = {"quadrants": Quadrants}
"""The operators by name."""


def parse(text: str) -> Degradation:
    """Return the degradation that a text names: `name:argument`, several joined by `+` and applied from left to right.

    Raises UsageError for an unknown name or an invalid argument.

    >>> parse("quadrants:1").masks
    True
    """
    return Degradation(tuple(_operator(part.strip()) for part in text.split("+")))


def _operator(text: str) -> Operator:
    name, _, argument = text.partition(":")
    if name not in OPERATORS:
        raise unknown("degradation", name, OPERATORS)
    try:
        return OPERATORS[name].of(argument)
    except ValueError as error:
        raise UsageError(f"degradation {text!r}: {error}") from None

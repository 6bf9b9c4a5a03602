"""Degradations of images: named operators such as `quadrants:1` or `blur:1.5`, composed with `+`, as pure functions."""

from simulacra.core.errors import UsageError, unknown
from simulacra.degradations.degradation import (
    Degradation,
    Degraded,
    Draw,
    LinearOperator,
    NamedOperator,
    Operator,
    apply_one_of,
)
from simulacra.degradations.filters import Blur, Downscale
from simulacra.degradations.fourier import FourierColumns, FourierRows
from simulacra.degradations.masks import Bottom, Box, Centre, Columns, FixedMask, Left, Quadrants, RandomMask, Right, Rows, Top
from simulacra.degradations.noise import Noise

__all__ = [
    "OPERATORS",
    "Degradation",
    "Degraded",
    "Draw",
    "FixedMask",
    "LinearOperator",
    "NamedOperator",
    "Operator",
    "apply_one_of",
    "descriptions",
    "parse",
    "parse_list",
]

_MASKS = (Quadrants, Box, RandomMask, Columns, Rows, Left, Right, Top, Bottom, Centre)
OPERATORS: dict[str, type[NamedOperator]] = {
    operator.name: operator for operator in (*_MASKS, Blur, Downscale, Noise, FourierColumns, FourierRows)
}
"""The operators by name: masks first."""


def parse(text: str) -> Degradation:
    """Return the degradation that a text names: `name:argument`, several joined by `+` and applied from left to right.

    Raises UsageError for an unknown name or an invalid argument.

    >>> parse("quadrants:1").masks, parse("blur:1.5 + box").masks
    (True, False)
    >>> str(parse("blur:1.5 + box"))
    'blur:1.5+box:0.5'
    """
    return Degradation(tuple(_operator(part.strip()) for part in text.split("+")))


def parse_list(text: str) -> tuple[Degradation, ...]:
    """Return the degradations that a text names, separated by commas; raises UsageError as `parse` does, and for none."""
    parts = [part for part in text.split(",") if part.strip()]
    if not parts:
        raise UsageError(f"no degradation: name one, or several separated by commas, such as quadrants:1. Known: {_known()}")
    return tuple(map(parse, parts))


def descriptions() -> dict[str, str]:
    """Return what each operator does, by its name with the form of its argument, for help texts.

    >>> descriptions()["blur:SIGMA"]
    'Gaussian blur with a standard deviation of SIGMA pixels'
    """
    return {operator.name + operator.argument: operator.summary for operator in OPERATORS.values()}


def _known() -> str:
    return ", ".join(sorted(OPERATORS))


def _operator(text: str) -> NamedOperator:
    name, _, argument = text.partition(":")
    if name not in OPERATORS:
        raise unknown("degradation", name, OPERATORS)
    try:
        return OPERATORS[name].of(argument)
    except ValueError as error:
        raise UsageError(f"degradation {text!r}: {error}") from None

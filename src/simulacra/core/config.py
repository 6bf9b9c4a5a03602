"""Settings: frozen dataclasses that are also TOML tables, command-line flags and documentation."""

import dataclasses
import math
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, field
from functools import cache
from typing import Any, Literal, Self, cast, get_args, get_origin, get_type_hints

from simulacra.core.errors import UsageError, unknown

Value = bool | int | float | str | tuple[int, ...]
Kind = Literal["bool", "int", "float", "str", "ints", "size"]


def option(default: Value, help: str, *, low: float | None = None, high: float | None = None, flag: str = "") -> Any:
    """Declare a setting of a Config: default, help, closed range, and its flag if it differs from the field's name."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "flag": flag})


@dataclass(frozen=True)
class Option:
    """The description of one setting."""

    name: str
    kind: Kind
    choices: tuple[str, ...]
    default: Value
    help: str
    low: float | None
    high: float | None
    flag: str

    def parse(self, text: str) -> Value:
        """Parse the text of a flag; raises UsageError."""
        try:
            return _PARSERS[self.kind](text)
        except (KeyError, ValueError):
            raise UsageError(f"--{self.flag} is {text!r}, expected {_KINDS[self.kind]}") from None

    def check(self, value: object) -> Value:
        """Return the value in its exact type; raises UsageError for a wrong type, choice or range."""
        if self.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.kind == "ints" and isinstance(value, list):
            value = tuple(value)
        if self.kind == "size":
            value = size(value)
        numbers = value if isinstance(value, tuple) else ()
        malformed = self.kind == "size" and isinstance(value, str) and not _SIZE.fullmatch(value)
        if malformed or type(value) not in _TYPES[self.kind] or not all(type(number) is int for number in numbers):
            raise UsageError(f"{self.name} is {value!r}, expected {_KINDS[self.kind]}")
        if self.choices and value not in self.choices:
            raise unknown(self.name, str(value), self.choices)
        for number in numbers or (value,):
            if isinstance(number, int | float) and not isinstance(number, bool):
                self._check_range(number)
        return cast(Value, value)

    def _check_range(self, number: float) -> None:
        if not math.isfinite(number):
            raise UsageError(f"{self.name} is {number}, expected a finite number")
        below = self.low is not None and not number >= self.low
        above = self.high is not None and not number <= self.high
        if below or above:
            span = f"at least {self.low}" if self.high is None else f"at most {self.high}"
            span = span if None in (self.low, self.high) else f"in [{self.low}, {self.high}]"
            raise UsageError(f"{self.name} is {number}, expected {span}")


_SIZE = re.compile(r"([1-9]\d*)(?:x([1-9]\d*))?|0")
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_TYPES: Mapping[Kind, tuple[type, ...]] = {
    **{"bool": (bool,), "int": (int,), "float": (float,), "str": (str,), "ints": (tuple,)},
    "size": (int, str),
}
_PARSERS: Mapping[str, Callable[[str], Value]] = {
    **{"bool": lambda text: _BOOLEANS[text.lower()], "int": int, "float": float, "str": str},
    "ints": lambda text: tuple(int(part) for part in text.replace(" ", "").split(",") if part),
    "size": str,
}
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "ints": "whole numbers separated by commas, such as 32,64",
    "size": "a whole number, or height and width such as 48x64",
}


def size(value: object) -> object:
    """Return a size in its simplest form: a number for a square, else height and width as a text; other values as they are.

    >>> size("64"), size("48x64"), size((32, 32)), size("0"), size("wide")
    (64, '48x64', 32, 0, 'wide')
    """
    text = "x".join(map(str, value)) if isinstance(value, list | tuple) else value
    if not isinstance(text, str) or not (match := _SIZE.fullmatch(text)):
        return value
    height, width = int(match[1] or 0), int(match[2] or match[1] or 0)
    return height if height == width else f"{height}x{width}"


@dataclass(frozen=True)
class Config:
    """A group of settings, validated when it is created."""

    def __post_init__(self) -> None:
        for setting in options(type(self)):
            object.__setattr__(self, setting.name, setting.check(getattr(self, setting.name)))
        self.validate()

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""

    @classmethod
    def of(cls, values: Mapping[str, object], where: str = "settings") -> Self:
        """Build from named values; raises UsageError for an unknown name and suggests the nearest."""
        known = {setting.name for setting in options(cls)}
        for name in values:
            if name not in known:
                raise unknown(f"key in {where}", name, known)
        return cls(**values)

    def table(self) -> dict[str, Value | list[int]]:
        """Return the settings as a TOML table."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def options(config: type[Config]) -> tuple[Option, ...]:
    """Return the settings of a Config class in declaration order."""
    return _options(cast(Hashable, config))


@cache
def _options(config: Hashable) -> tuple[Option, ...]:
    assert isinstance(config, type)
    hints = get_type_hints(config)
    return tuple(_option(item, hints[item.name]) for item in dataclasses.fields(config))


def _option(item: "dataclasses.Field[Any]", hint: object) -> Option:
    if item.default is MISSING:
        raise TypeError(f"{item.name} has no default")
    kind, choices = _kind(hint)
    facts = item.metadata
    flag = facts["flag"] or item.name.replace("_", "-")
    return Option(item.name, kind, choices, item.default, facts["help"], facts["low"], facts["high"], flag)


def _kind(hint: object) -> tuple[Kind, tuple[str, ...]]:
    if get_origin(hint) is Literal:
        return "str", get_args(hint)
    if hint == int | str:  # a side in pixels, or height and width
        return "size", ()
    for kind, of_kind in _TYPES.items():
        if of_kind in ((hint,), (get_origin(hint),)):
            return kind, ()
    raise TypeError(f"a setting cannot be of type {hint}")

"""Settings: frozen dataclasses that are also TOML tables, command-line flags and documentation."""

import dataclasses
import math
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, dataclass, field
from functools import cache
from typing import Any, Literal, Self, cast, get_args, get_origin, get_type_hints

from simulacra.core.errors import UsageError, unknown

Value = bool | int | float | str | tuple[int, ...]


def option(default: Value, help: str, *, low: float | None = None, high: float | None = None, flag: str = "") -> Any:
    """Declare a setting of a Config: default, help, closed range, and its flag if it differs from the field's name."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "flag": flag})


@dataclass(frozen=True)
class Option:
    """The description of one setting."""

    name: str
    kind: Literal["bool", "int", "float", "str", "ints"]
    choices: tuple[str, ...]
    default: Value
    help: str
    low: float | None
    high: float | None
    flag: str

    def parse(self, text: str) -> Value:
        """Parse the text of a flag; raises UsageError."""
        if self.kind == "bool" and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        try:
            if self.kind == "ints":
                return tuple(int(part) for part in text.replace(" ", "").split(",") if part)
            if self.kind == "int":
                return int(text)
            if self.kind == "float":
                return float(text)
        except ValueError:
            pass
        if self.kind == "str":
            return text
        raise UsageError(f"--{self.flag} is {text!r}, expected {_KINDS[self.kind]}")

    def check(self, value: object) -> Value:
        """Return the value in its exact type; raises UsageError for a wrong type, choice or range."""
        if self.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.kind == "ints" and isinstance(value, list):
            value = tuple(value)
        if not _is_kind(value, self.kind):
            raise UsageError(f"{self.name} is {value!r}, expected {_KINDS[self.kind]}")
        if self.choices and value not in self.choices:
            raise unknown(self.name, str(value), self.choices)
        for number in value if isinstance(value, tuple) else (value,):
            self._check_range(number)
        return value  # type: ignore[return-value]

    def _check_range(self, number: object) -> None:
        if isinstance(number, bool) or not isinstance(number, int | float):
            return
        if not math.isfinite(number):
            raise UsageError(f"{self.name} is {number}, expected a finite number")
        below = self.low is not None and not number >= self.low
        above = self.high is not None and not number <= self.high
        if below or above:
            span = f"at least {self.low}" if self.high is None else f"at most {self.high}"
            span = span if None in (self.low, self.high) else f"in [{self.low}, {self.high}]"
            raise UsageError(f"{self.name} is {number}, expected {span}")


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "ints": "whole numbers separated by commas, such as 32,64",
}


def _is_kind(value: object, kind: str) -> bool:
    if kind == "ints":
        return isinstance(value, tuple) and all(type(number) is int for number in value)
    return type(value) is {"bool": bool, "int": int, "float": float, "str": str}[kind]


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


def _kind(hint: object) -> tuple[Literal["bool", "int", "float", "str", "ints"], tuple[str, ...]]:
    if get_origin(hint) is Literal:
        return "str", get_args(hint)
    if get_origin(hint) is tuple:
        return "ints", ()
    scalars: dict[object, Literal["bool", "int", "float", "str"]] = {bool: "bool", int: "int", float: "float", str: "str"}
    if hint not in scalars:
        raise TypeError(f"a setting cannot be of type {hint}")
    return scalars[hint], ()

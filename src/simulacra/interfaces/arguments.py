"""Command-line flags made from settings, and errors that suggest the nearest flag."""

import argparse
import textwrap
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from simulacra.core.config import Config, Option, options
from simulacra.core.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong."""
        raise UsageError(f"{message}. See '{self.prog} --help'")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse words; an unknown flag is a UsageError that suggests the nearest."""
        parsed, left = self.parse_known_args(words)
        if left:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            near = get_close_matches(left[0].split("=")[0], flags, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]}?" if near else "."
            raise UsageError(f"unknown argument {left[0]!r}{hint} See '{self.prog} --help'")
        return parsed


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=110)


def add_settings(
    parser: argparse.ArgumentParser,
    title: str,
    config: type[Config],
    defaults: Mapping[str, object] | None = None,
    only: Collection[str] = (),
) -> None:
    """Add a flag for each setting of a Config, or for some; those that are given appear in the result by the setting's name."""
    group = parser.add_argument_group(title)
    for setting in options(config):
        if only and setting.name not in only:
            continue
        default = (defaults or {}).get(setting.name, setting.default)
        text = f"{setting.help} (default: {_shown(default)})".replace("%", "%%")
        common: dict[str, Any] = {"dest": setting.name, "default": argparse.SUPPRESS, "help": text}
        if setting.kind == "bool":
            group.add_argument(f"--{setting.flag}", action=argparse.BooleanOptionalAction, **common)
        else:
            group.add_argument(f"--{setting.flag}", type=setting.parse, metavar=_metavar(setting), **common)


def given(parsed: argparse.Namespace, config: type[Config]) -> dict[str, object]:
    """Return the settings of a Config that were given as flags."""
    return {setting.name: getattr(parsed, setting.name) for setting in options(config) if setting.name in parsed}


def examples(*lines: str) -> str:
    """Return the examples that stand below a command's help."""
    return "examples:\n" + textwrap.indent("\n".join(lines), "  ")


def _metavar(setting: Option) -> str:
    if setting.choices:
        return "{" + ",".join(setting.choices) + "}"
    return {"int": "N", "float": "X", "str": "TEXT", "ints": "N,N"}[setting.kind]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "none"

"""Command-line flags from settings, subcommands, and errors that suggest the nearest flag."""

import argparse
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from simulacra.core.config import Config, Option, option, options
from simulacra.core.errors import UsageError, unknown
from simulacra.interfaces.synonyms import hint, translated

if TYPE_CHECKING:
    from simulacra.interfaces.display.console import Console


JSON_HELP = "print one JSON object to standard output, everything else to standard error"
_FAMILY_FILE = "--family-file"
_FAMILY_FILE_HELP = "a Python file that defines a family of your own; its code is run. May be given several times"


@dataclass(frozen=True)
class MachineConfig(Config):
    """Where and with how many threads a command computes."""

    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to compute; auto: the GPU where there is one")
    threads: int = option(0, "number of CPU threads; 0 takes all, or OMP_NUM_THREADS", low=0)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors.

    settings: the group, the declaration and the default of each flag that is a setting of a Config, by the setting's name.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **settings)
        self.subcommands: dict[str, Parser] = {}
        self.settings: dict[str, tuple[str, Option, object]] = {}

    def error(self, message: str) -> NoReturn:
        """Raise the error that argparse found."""
        raise UsageError(f"{message}. See '{self.prog} --help'")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse words, which may be flags of other tools; raises UsageError for an unknown flag, with ours or the nearest one."""
        chosen = self.subcommands.get(next((word for word in words if not word.startswith("-")), ""), self)
        flags = [flag for action in chosen._actions for flag in action.option_strings if flag.startswith("--")]
        parsed, left = self.parse_known_args(translated(words, flags))
        if left:
            raise UsageError(f"unknown argument {left[0]!r}{hint(left[0].split('=')[0], flags)} See '{chosen.prog} --help'")
        return parsed


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=110)


@dataclass(frozen=True)
class Subcommand:
    """A subcommand: its help, and what adds its flags and sets what runs it as a default of the parser."""

    help: str
    add: "Callable[[Parser], None]"

    @classmethod
    def of(cls, run: "Callable[[argparse.Namespace, Console], int]", flags: "Callable[[Parser], None]") -> "Subcommand":
        """Return the subcommand of a function, whose docstring is its help and which becomes `parsed.run`."""

        def add(parser: Parser) -> None:
            flags(parser)
            parser.set_defaults(run=run)

        return cls(run.__doc__ or "", add)


def add_actions(parser: Parser, words: Sequence[str], actions: Mapping[str, Subcommand]) -> None:
    """Add subcommands by name; raises UsageError for an unknown action, with the nearest one."""
    if words and not words[0].startswith("-") and words[0] not in actions:
        raise unknown("action", words[0], actions)
    subcommands = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, action in actions.items():
        child = subcommands.add_parser(name, help=action.help.split("\n")[0].rstrip("."), description=action.help)
        child.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=JSON_HELP)
        action.add(child)
        parser.subcommands[name] = child


def add_settings(  # noqa: PLR0917
    parser: Parser,
    title: str,
    config: type[Config],
    defaults: Mapping[str, object] | None = None,
    only: Collection[str] = (),
    without: Collection[str] = (),
) -> None:
    """Add a flag for each setting of a Config, or for some; given flags appear in the result by the name of the setting."""
    group = parser.add_argument_group(title)
    for setting in options(config):
        if (only and setting.name not in only) or setting.name in without:
            continue
        default = (defaults or {}).get(setting.name, setting.default)
        parser.settings[setting.name] = (title, setting, default)
        given_default = "" if "(default:" in setting.help else f" (default: {default_text(default)})"
        help_text = f"{setting.help}{given_default}".replace("%", "%%")
        common: dict[str, Any] = {"dest": setting.name, "default": argparse.SUPPRESS, "help": help_text}
        if setting.kind == "bool":
            group.add_argument(f"--{setting.flag}", action=argparse.BooleanOptionalAction, **common)
        else:
            group.add_argument(f"--{setting.flag}", type=setting.parse, metavar=_metavar(setting), **common)


def given(parsed: argparse.Namespace, config: type[Config]) -> dict[str, object]:
    """Return the settings of a Config that were given as flags."""
    return {setting.name: getattr(parsed, setting.name) for setting in options(config) if setting.name in parsed}


def add_family_file(parser: argparse.ArgumentParser) -> None:
    """Add the flag for families of a user's own, whose files `load_family_files` has run before."""
    parser.add_argument(_FAMILY_FILE, action="append", type=Path, metavar="FILE", help=_FAMILY_FILE_HELP)


def load_family_files(words: Sequence[str]) -> tuple[str, ...]:
    """Run the files that words name with --family-file, and return the names of their families.

    Raises UsageError for a file that does not define one family.
    """
    after = [value for word, value in pairwise([*words, ""]) if word == _FAMILY_FILE]
    files = [*after, *(word.partition("=")[2] for word in words if word.startswith(f"{_FAMILY_FILE}="))]
    if not files:
        return ()
    from simulacra.runs.own_families import load_family, name_of

    return tuple(name_of(load_family(file)) for file in files)


def machine(parsed: argparse.Namespace) -> MachineConfig:
    """Return the machine settings that were given as flags, after setting the number of threads."""
    settings = MachineConfig.of(given(parsed, MachineConfig), "the flags")
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    return settings


def examples(*lines: str) -> str:
    """Return the examples below the help of a command."""
    return "examples:\n" + textwrap.indent("\n".join(lines), "  ")


def _metavar(setting: Option) -> str:
    if setting.choices:
        return "{" + ",".join(setting.choices) + "}"
    return {"int": "N", "float": "X", "str": "TEXT", "ints": "N,N", "size": "N|HxW"}[setting.kind]


def default_text(value: object) -> str:
    """Return a default as help texts state it.

    >>> default_text(True), default_text((32, 64)), default_text(3e-4), default_text("")
    ('on', '32,64', '0.0003', 'none')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "none"

"""The command line: `simulacra COMMAND`. Heavy libraries are imported only by the command that needs them."""

import argparse
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import cast

from simulacra import applications
from simulacra.core.errors import SimulacraError, UsageError, unknown
from simulacra.core.launch import alone, launched
from simulacra.core.text import printable
from simulacra.interfaces import commands
from simulacra.interfaces.arguments import JSON_HELP, Parser, load_family_files
from simulacra.interfaces.command import ApplicationCommand, Command
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.help import asks_for_help, print_help
from simulacra.interfaces.synonyms import COMMANDS, RELATED

GROUPS: Mapping[str, str] = {
    "start": "start",
    "train": "train models",
    "use": "use trained models",
    "measure": "measure and compare",
    "data": "data and feature extractors",
    "machine": "machine",
}
"""Titles of the groups of the overview, in their order; a command of any other group is listed at the end."""

TOGETHER = ("train", "resume", "sample", "evaluate")
"""Commands whose work the processes that torchrun started share; any other runs in the first process alone."""

_SLOW = ("train", "evaluate", "compare")  # commands other than applications whose flags are declared in modules that import torch


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 success, 1 failure or interruption, 2 wrong usage."""
    # threads wait actively for a short time: faster than sleeping immediately, and less sensitive to load than the default
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        return _run(list(sys.argv[1:] if words is None else words))
    except SimulacraError as error:
        place = launched()
        print(printable(f"error{'' if place.first else f' in process {place.rank}'}: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if launched().first:
            print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the reader is gone; keep the interpreter's last flush quiet
        return 1
    except OSError as error:  # a disk or folder failed where no better message exists
        where = f"{error.filename}: " if error.filename else ""
        print(printable(f"error: {where}{error.strerror or error}"), file=sys.stderr)
        return 1


def names() -> list[str]:
    """Return the names of all commands: one file each in `commands/` and in `applications/`."""
    return [module.name for module in pkgutil.iter_modules(commands.__path__)] + list(applications.names())


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"simulacra {version('simulacra')}")
        return 0
    name, rest = COMMANDS.get(words[0], words[0]), words[1:]
    if name in RELATED:
        raise UsageError(f"unknown command {name!r}: {RELATED[name]}. See 'simulacra --help'")
    if name not in names():
        raise unknown("command", name, names())
    load_family_files(rest)
    if (name in applications.names() or name in _SLOW) and asks_for_help(rest):
        print_help(name, rest, lambda: _parsed(name, rest))
    command, parsed = _parsed(name, rest)
    console, place = Console(parsed.json), launched()
    if place.count == 1 or name in TOGETHER:
        return command.run(parsed, console)
    if not place.first:
        return 0
    console.message(f"note: {name} runs in the first of the {place.count} processes alone: the others end at once")
    with alone():
        return command.run(parsed, console)


def command_parser(name: str, words: Sequence[str] = ()) -> tuple[Command, Parser]:
    """Return a command and its parser, with the flags that depend on the words, such as those of the family of `train`."""
    command = ApplicationCommand(name) if name in applications.names() else _module(name)
    parser = Parser(prog=f"simulacra {name}", description=command.__doc__, epilog=command.EXAMPLES)
    parser.add_argument("--json", action="store_true", help=JSON_HELP)
    command.arguments(parser, list(words))
    return command, parser


def _parsed(name: str, words: list[str]) -> tuple[Command, argparse.Namespace]:
    """Return a command and its parsed words."""
    command, parser = command_parser(name, words)
    return command, parser.parse(words)


def _module(name: str) -> Command:
    return cast(Command, import_module(f"{commands.__name__}.{name}"))


def _overview() -> str:
    """Return the list of all commands in groups."""
    entries = [(*ApplicationCommand.POSITION, name, summary) for name, summary in applications.summaries().items()]
    for module in pkgutil.iter_modules(commands.__path__):
        command = _module(module.name)
        entries.append((*command.POSITION, module.name, (command.__doc__ or "").split("\n")[0]))
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for group, _, name, summary in sorted(entries, key=lambda entry: entry[1:]):
        groups.setdefault(group, []).append(f"  {name:<12} {summary}")
    lines = [line for group, listed in groups.items() if listed for line in ("", f"{GROUPS.get(group, group)}:", *listed)]
    usage = "usage: simulacra COMMAND [...]    'simulacra COMMAND --help' explains every flag"
    title = "Generative models of images: train them, use them, measure them."
    return "\n".join([title, "", usage, *lines, "", "first command:  simulacra demo"])

"""The command line: `simulacra COMMAND`. Heavy libraries are imported only by the command that needs them."""

import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from simulacra.core.errors import SimulacraError, unknown
from simulacra.core.launch import launched
from simulacra.interfaces import commands
from simulacra.interfaces.arguments import Parser
from simulacra.interfaces.console import Console

_ORDER = (
    "demo",
    "train",
    "resume",
    "sample",
    "reconstruct",
    "interpolate",
    "traverse",
    "translate",
    "evaluate",
    "compare",
    "report",
    "models",
    "data",
    "doctor",
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed or interrupted, 2 wrong usage."""
    os.environ.setdefault(
        "GOMP_SPINCOUNT", "2000"
    )  # a third faster than sleeping at once, less harmed by neighbours than the default
    try:
        return _run(list(sys.argv[1:] if words is None else words))
    except SimulacraError as error:
        place = launched()
        print(f"error{'' if place.first else f' in process {place.rank}'}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if launched().first:
            print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - nobody reads; keep the interpreter's last flush quiet
        return 1
    except OSError as error:  # a disk or folder that fails where nothing better is known to say
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 1


def names() -> list[str]:
    """Return the names of all commands: one file each in `commands/`."""
    found = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    return [name for name in _ORDER if name in found] + sorted(found - set(_ORDER))


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"simulacra {version('simulacra')}")
        return 0
    if words[0] not in names():
        raise unknown("command", words[0], names())
    command = _load(words[0])
    parser = Parser(prog=f"simulacra {words[0]}", description=command.__doc__, epilog=command.EXAMPLES)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object to standard output, all else to standard error"
    )
    command.arguments(parser, words[1:])
    parsed = parser.parse(words[1:])
    code: int = command.run(parsed, Console(parsed.json))
    return code


def _load(name: str) -> ModuleType:
    return import_module(f"{commands.__name__}.{name}")


def _overview() -> str:
    lines = [f"  {name:<12} {(_load(name).__doc__ or '').splitlines()[0]}" for name in names()]
    return "\n".join(
        [
            "Generative models of images that people can train, measure and trust.",
            "",
            "usage: simulacra COMMAND [...]    'simulacra COMMAND --help' explains every flag",
            "",
            *lines,
            "",
            "begin with:  simulacra demo",
        ]
    )

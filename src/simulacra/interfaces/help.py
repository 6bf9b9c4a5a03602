"""Texts that are made of declarations beside computations, such as help, kept in the cache: importing torch takes seconds."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import simulacra
from simulacra.core.errors import SimulacraError
from simulacra.core.files import write_text
from simulacra.data.locations import cache_folder

_FLAGS = ("-h", "--help")
_PLUGINS = ("applications", "families", "metrics", "anomaly.scores", "data.sources", "engine.trackers", "interfaces.commands")
"""Packages whose files declare flags, or are listed in them."""


def asks_for_help(words: Sequence[str]) -> bool:
    """Return whether the words of a command ask for its help, and give no run, whose help depends on its model."""
    return any(word in _FLAGS for word in words) and not any(Path(word).exists() for word in words if word not in _FLAGS)


def print_help(command: str, words: Sequence[str], parse: Callable[[], object]) -> NoReturn:
    """Print the help of a command and exit: from the cache, else as `parse` prints it before it exits."""

    def written() -> str:
        text = io.StringIO()
        with redirect_stdout(text), suppress(SystemExit):
            parse()
        return text.getvalue()

    print(cached_text("help", (command, *words), written), end="")
    raise SystemExit(0)


def cached_text(kind: str, words: Sequence[str], make: Callable[[], str]) -> str:
    """Return a text from the cache, else as `make` returns it.

    A text in the cache is identified by the words and by the path, time and size of every source file, so that it is never that
    of another version.
    """
    identity = "\n".join([sys.version, *words, *_sources()])
    file = cache_folder() / kind / f"{sha256(identity.encode()).hexdigest()[:32]}.txt"
    text = ""
    with suppress(OSError, UnicodeDecodeError):
        text = file.read_text("utf-8")
    if not text:
        text = make()
        with suppress(OSError, SimulacraError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, text)
    return text


def _sources() -> Iterator[str]:
    """Yield path, time and size of every source file of the package, and of plug-ins elsewhere."""
    folders = {str(Path(simulacra.__file__).parent)}
    for name in _PLUGINS:
        folders |= set(getattr(sys.modules.get(f"simulacra.{name}"), "__path__", ()))
    for path in sorted({path for folder in folders for path in Path(folder).rglob("*.py")}):
        facts = path.stat()
        yield f"{path} {facts.st_mtime_ns} {facts.st_size}"

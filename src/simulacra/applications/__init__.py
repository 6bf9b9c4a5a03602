"""Applications of trained models. One file is one application: its docstring is the help of its command.

A module of this package that defines `APPLICATION = Application(...)` is an application; `simulacra NAME RUN` runs it. The name
is that of the file, with a dash for each underscore: `latent_map.py` is the command `latent-map`.
"""

import ast
import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from simulacra.core.errors import unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from simulacra.applications.application import Application


def summaries() -> Mapping[str, str]:
    """Return the first line of each application's help by its name. It parses the files and imports nothing."""
    paths = (path for folder in __path__ for path in Path(folder).glob("*.py"))
    found = {path.stem.replace("_", "-"): _summary(path, path.stat().st_mtime_ns) for path in paths}
    return dict(sorted((name, summary) for name, summary in found.items() if summary is not None))


@cache
def _summary(path: Path, changed: int) -> str | None:
    """Return the first line of the help of an application's file, None for another file; changed: the time of its last change."""
    source = path.read_text(encoding="utf-8")
    if not re.search(r"^APPLICATION\b", source, re.MULTILINE):
        return None
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]


def names() -> tuple[str, ...]:
    """Return the names of all applications, without importing them."""
    return tuple(summaries())


def find(name: str) -> "Application":
    """Return the application of a name; raises UsageError that suggests the nearest name."""
    if name not in summaries():
        raise unknown("application", name, names())
    application: Application = import_module(f"{__name__}.{name.replace('-', '_')}").APPLICATION
    return application

"""Applications of trained models. One file is one application: its docstring is the help of its command.

A module of this package that defines `APPLICATION = Application(...)` is an application; `simulacra NAME RUN` runs it. The name
is that of the file, with a dash for each underscore: `latent_map.py` is the command `latent-map`.
"""

import ast
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from simulacra.core.errors import unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from simulacra.applications.application import Application


def summaries() -> Mapping[str, str]:
    """Return the first line of each application's help by its name. It parses the files and imports nothing."""
    found = {}
    for path in (path for folder in __path__ for path in Path(folder).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if re.search(r"^APPLICATION\b", source, re.MULTILINE):
            found[path.stem.replace("_", "-")] = (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
    return dict(sorted(found.items()))


def names() -> tuple[str, ...]:
    """Return the names of all applications, without importing them."""
    return tuple(summaries())


def find(name: str) -> "Application":
    """Return the application of a name; raises UsageError that suggests the nearest name."""
    if name not in summaries():
        raise unknown("application", name, names())
    application: Application = import_module(f"{__name__}.{name.replace('-', '_')}").APPLICATION
    return application

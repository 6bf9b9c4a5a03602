"""Applications of trained models. One file is one application: its docstring is the help of its command.

A module of this package that defines `APPLICATION = Application(...)` is an application; `simulacra NAME RUN` runs it.
"""

import ast
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from simulacra.core.errors import unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from simulacra.applications.application import Application


def summaries() -> Mapping[str, str]:
    """Return the first line of each application's help by its name. It parses the files and imports nothing."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        spec = find_spec(f"{__name__}.{module.name}")
        if spec is None or spec.origin is None:
            continue
        summary = _summary(spec.origin, Path(spec.origin).stat().st_mtime_ns)
        if summary is not None:
            found[module.name] = summary
    return dict(sorted(found.items()))


@cache
def _summary(path: str, changed: int) -> str | None:
    """Return the first line of the docstring of a file that defines an application, else None; parse each version once."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    if not any(_assigns(node, "APPLICATION") for node in tree.body):
        return None
    return (ast.get_docstring(tree) or "").split("\n")[0]


def _assigns(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def names() -> tuple[str, ...]:
    """Return the names of all applications, without importing them."""
    return tuple(summaries())


def find(name: str) -> "Application":
    """Return the application of a name; raises UsageError that suggests the nearest name."""
    if name not in summaries():
        raise unknown("application", name, names())
    application: Application = import_module(f"{__name__}.{name}").APPLICATION
    return application

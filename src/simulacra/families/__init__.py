"""Families of generative models: every module of this folder defines one, found by its file name; a user adds others."""

import inspect
import pkgutil
from importlib import import_module
from types import ModuleType

from simulacra.core.errors import UsageError, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from simulacra.core.family import Family

_added: "dict[str, type[Family]]" = {}


def names() -> tuple[str, ...]:
    """Return the names of all families, without importing them."""
    return tuple(sorted({*packaged(), *_added}))


def packaged() -> tuple[str, ...]:
    """Return the names of the families of this folder, without importing them."""
    return tuple(module.name for module in pkgutil.iter_modules(__path__))


def add(name: str, family: "type[Family]") -> None:
    """Add a family from outside of this folder, in the place of an earlier one of that name."""
    _added[name] = family


def find(name: str) -> "type[Family]":
    """Return the family of this name; raises UsageError for an unknown name or an invalid file."""
    if name in _added:
        return _added[name]
    if name.endswith(".py"):
        raise UsageError(f"{name} is a file: give a family of your own with --family-file {name}")
    if name not in names():
        raise unknown("family", name, names())
    return defined_in(import_module(f"{__name__}.{name}"))


def defined_in(module: ModuleType) -> "type[Family]":
    """Return the only family that a module defines; raises UsageError where it defines none or several."""
    from simulacra.core.family import Family

    own = [item for item in vars(module).values() if inspect.isclass(item) and item.__module__ == module.__name__]
    found = list(dict.fromkeys(item for item in own if issubclass(item, Family)))
    if len(found) != 1:
        held = ", ".join(family.__name__ for family in found) or "none"
        raise UsageError(f"{module.__file__}: a family's file defines one subclass of Family, and this one defines {held}")
    return found[0]

"""Families of generative models: every module of this folder defines one, found by its file name."""

import inspect
import pkgutil
from importlib import import_module

from simulacra.core.errors import UsageError, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from simulacra.core.family import Family


def names() -> tuple[str, ...]:
    """Return the names of all families, without importing them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find(name: str) -> "type[Family]":
    """Return the family of this name; raises UsageError for an unknown name or an invalid file."""
    if name not in names():
        raise unknown("family", name, names())
    module = import_module(f"{__name__}.{name}")
    from simulacra.core.family import Family

    own = [item for item in vars(module).values() if inspect.isclass(item) and item.__module__ == module.__name__]
    found = [item for item in own if issubclass(item, Family)]
    if len(found) != 1:
        held = ", ".join(family.__name__ for family in found) or "none"
        raise UsageError(f"{module.__file__}: a family's file defines one subclass of Family, and this one defines {held}")
    return found[0]

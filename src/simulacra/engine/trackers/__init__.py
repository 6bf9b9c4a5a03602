"""The experiment trackers: every module of this folder is one; its file name is its name, and that of its extra."""

import importlib
import pkgutil
from collections.abc import Sequence
from importlib.util import find_spec

from simulacra.core.errors import UsageError, unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from simulacra.engine.tracking import Tracker


def names() -> tuple[str, ...]:
    """Return the names of all trackers, without importing them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def chosen(text: str) -> tuple[str, ...]:
    """Return the trackers that a setting names, each once; raises UsageError for an unknown name.

    >>> chosen("tensorboard, mlflow,")
    ('tensorboard', 'mlflow')
    """
    words = dict.fromkeys(word for word in text.replace(" ", "").split(",") if word)
    for word in words:
        if word not in names():
            raise unknown("tracker", word, names())
    return tuple(words)


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; a folder of that name without `__init__.py` is not a package."""
    found = find_spec(package)
    return found is not None and found.origin is not None


def require(wanted: Sequence[str]) -> None:
    """Raise UsageError unless the packages of these trackers are installed."""
    packages = {name: find(name).package for name in wanted}
    if missing := [name for name, package in packages.items() if package and not is_installed(package)]:
        what, extras = " and ".join(missing), ",".join(missing)
        raise UsageError(f'--track needs {what}, which is not installed: pip install "simulacra[{extras}]", or remove --track')


def find(name: str) -> "type[Tracker]":
    """Return the tracker of this name; its package is imported by its `start`."""
    tracker: type[Tracker] = importlib.import_module(f"{__name__}.{name}").TRACKER
    return tracker

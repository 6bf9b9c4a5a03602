"""Networks of feature extractors: each module of this folder is one, named by its file."""

import inspect
import pkgutil
from importlib import import_module

from simulacra.core.errors import unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from simulacra.features.extractor import Network


def names() -> tuple[str, ...]:
    """Return the names of all extractors, without importing them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find(name: str) -> "type[Network]":
    """Return the network of this name; raises UsageError that suggests the nearest."""
    if name not in names():
        raise unknown("extractor", name, names())
    from simulacra.features.extractor import Network

    module = import_module(f"{__name__}.{name}")
    own = (item for item in vars(module).values() if inspect.isclass(item) and item.__module__ == module.__name__)
    (network,) = (item for item in own if issubclass(item, Network))
    return network

"""Simulacra: generative models of images.

>>> import simulacra                                                        # doctest: +SKIP
>>> model = simulacra.train("vae", data="digits", duration="20ep")          # doctest: +SKIP
>>> images = simulacra.open(model.run.path).sample(64)                      # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulacra.core.errors import SimulacraError, UsageError
    from simulacra.interfaces.api import Model, compare, from_array, load_data, open, resume, train, unpaired

__all__ = ["Model", "SimulacraError", "UsageError", "compare", "from_array", "load_data", "open", "resume", "train", "unpaired"]


def __getattr__(name: str) -> Any:
    """Import the Python API at its first use: importing torch takes a second."""
    if name in __all__:
        return getattr(import_module("simulacra.interfaces.api"), name)
    raise AttributeError(f"module 'simulacra' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the Python API."""
    return sorted(__all__)

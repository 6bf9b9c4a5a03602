"""Simulacra: generative models of images that people can train, measure and trust.

>>> import simulacra                                                        # doctest: +SKIP
>>> model = simulacra.train("vae", data="digits", duration="20ep")          # doctest: +SKIP
>>> images = simulacra.open(model.run.path).sample(64)                      # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulacra.core.errors import SimulacraError, UsageError
    from simulacra.interfaces.api import compare, from_array, load_data, open, resume, train, unpaired

__all__ = ["SimulacraError", "UsageError", "compare", "from_array", "load_data", "open", "resume", "train", "unpaired"]


def __getattr__(name: str) -> Any:
    """Import the Python API when it is first used: torch takes a second to load."""
    if name in __all__:
        return getattr(import_module("simulacra.interfaces.api"), name)
    raise AttributeError(f"module 'simulacra' has no attribute {name!r}")

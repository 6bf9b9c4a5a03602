"""Simulacra: generative models of images.

>>> import simulacra                                                        # doctest: +SKIP
>>> model = simulacra.train("vae", data="digits", duration="20ep")          # doctest: +SKIP
>>> images = simulacra.open(model.run.path).sample(64)                      # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulacra.interfaces.api import (
        DataError,
        Dataset,
        Model,
        NotApplicable,
        Plots,
        Result,
        SimulacraError,
        UsageError,
        check_data,
        compare,
        explain,
        from_array,
        image_grid,
        line_plot,
        list_data,
        list_families,
        load_data,
        load_family,
        open,
        pack_data,
        quiz,
        resume,
        status,
        train,
        train_extractor,
        unpaired,
        untrained,
    )

__all__ = [
    "DataError",
    "Dataset",
    "Model",
    "NotApplicable",
    "Plots",
    "Result",
    "SimulacraError",
    "UsageError",
    "check_data",
    "compare",
    "explain",
    "from_array",
    "image_grid",
    "line_plot",
    "list_data",
    "list_families",
    "load_data",
    "load_family",
    "open",
    "pack_data",
    "quiz",
    "resume",
    "status",
    "train",
    "train_extractor",
    "unpaired",
    "untrained",
]


def __getattr__(name: str) -> Any:
    """Import the Python API at its first use: importing torch takes a second."""
    if name in __all__:
        return getattr(import_module("simulacra.interfaces.api"), name)
    raise AttributeError(f"module 'simulacra' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the Python API, and those that every module has."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})

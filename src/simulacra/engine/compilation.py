"""Networks compiled by torch.compile: an option, since on CPUs it starts slowly and pays for large networks only."""

import os
import shutil

import torch

from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.engine.sharding import units

_COMPILERS = ("g++", "clang++", "c++", "cl")


def compile_networks(family: Family, device: torch.device) -> None:
    """Compile every network of a family in place, at its first call; raises UsageError without a C++ compiler.

    Losses stay as they are, and so do the draws of random numbers. Compiled code is kept by PyTorch between processes.
    """
    if device.type == "cpu" and not cpp_compiler():
        raise UsageError("--compile needs a C++ compiler on a CPU, and none was found: install g++, or leave --compile out")
    import torch._inductor.config as inductor  # takes a second to import

    inductor.fallback_random = True
    for unit in units(family):
        unit.compile()


def cpp_compiler() -> str:
    """Return the C++ compiler that torch.compile would call; empty if there is none."""
    wanted = os.environ.get("CXX")
    found = (shutil.which(name) for name in ([wanted] if wanted else _COMPILERS))
    return next((path for path in found if path), "")

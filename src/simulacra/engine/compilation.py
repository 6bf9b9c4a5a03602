"""Compiles networks with torch.compile: optional, since it starts slowly, and on CPUs the networks are mostly slower."""

import os
import shutil
from collections.abc import Mapping

import torch

from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.engine.sharding import units

_COMPILERS = ("g++", "clang++", "c++", "cl")


def compile_networks(family: Family, device: torch.device) -> None:
    """Compile every network of a family in place, at its first call; raises UsageError without a C++ compiler.

    Losses are not compiled, and random numbers are drawn as without compilation. PyTorch caches the compiled code on disk.
    """
    if device.type == "cpu" and not find_compiler():
        raise UsageError("--compile needs a C++ compiler on a CPU, and none was found: install g++, or remove --compile")
    import torch._functorch.config as functorch
    import torch._inductor.config as inductor  # takes a second to import

    functorch.donated_buffer = False  # else a graph cannot be differentiated by the losses of several players
    inductor.fallback_random = True
    for unit in units(family):
        unit.compile()


def find_compiler(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the C++ compiler that torch.compile uses on a CPU: $CXX, or the first that is found."""
    named = environment.get("CXX")
    return next(filter(None, (shutil.which(name) for name in ([named] if named else _COMPILERS))), None)

"""Finds the first module whose output is not finite."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def first_non_finite(model: nn.Module, compute: Callable[[], object]) -> str:
    """Run `compute` and return the first module with an infinite or NaN output, inner modules first; empty if there is none."""
    names = {module: name for name, module in model.named_modules() if name}
    found: list[str] = []

    def check(module: nn.Module, _: object, output: object) -> None:
        outputs = output if isinstance(output, tuple | list) else (output,)
        if not all(torch.isfinite(tensor).all() for tensor in outputs if isinstance(tensor, Tensor)):
            found.append(f"{names[module]} ({type(module).__name__})")

    handles = [module.register_forward_hook(check) for module in names]
    try:
        with torch.no_grad():
            compute()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ""

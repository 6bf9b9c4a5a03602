"""Finds the first module whose output is not finite."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn


def first_non_finite(model: nn.Module, compute: Callable[[], object]) -> str:
    """Run `compute` and return the first module with an infinite or NaN output, inner modules first; empty if there is none."""
    found: list[str] = []
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if name:
                hooks.enter_context(_checked(name, module, found))
        with torch.no_grad():
            compute()
    return found[0] if found else ""


@contextmanager
def _checked(name: str, module: nn.Module, found: list[str]) -> Iterator[None]:
    def check(_: nn.Module, __: object, output: object) -> None:
        if not all(torch.isfinite(tensor).all() for tensor in _tensors(output)):
            found.append(f"{name} ({type(module).__name__})")

    handle = module.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _tensors(output: object) -> Iterable[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    return [item for item in output if isinstance(item, Tensor)] if isinstance(output, tuple | list) else []

"""Sharding of players that are too large for one device: PyTorch's FSDP2 splits weights and optimizer state over processes.

Checkpoints contain whole tensors, so that any number of processes can resume them, sharded or not.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_SEPARATE_FROM = 1_000_000  # parameters from which a module inside a unit is gathered separately


def units(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost modules that have parameters and define `forward`."""
    if type(module).forward is not nn.Module.forward:
        if any(True for _ in module.parameters()):
            yield module
        return
    for child in module.children():
        yield from units(child)


def shard(module: nn.Module) -> None:
    """Split the parameters of every unit over all processes, in place; those outside of units are replicated."""
    from torch.distributed.fsdp import fully_shard  # half a second to import

    # It warns of outputs that are views, which must not be modified in place: no family does that.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    for unit in units(module):
        large = [part for part in unit.modules() if part is not unit and _is_large(part)]
        for part in [*reversed(large), unit]:
            fully_shard(part)


def _is_large(module: nn.Module) -> bool:
    called = type(module).forward is not nn.Module.forward and not isinstance(module, nn.Sequential)
    return called and sum(parameter.numel() for parameter in module.parameters()) >= _SEPARATE_FROM


def is_split(tensor: Tensor) -> bool:
    """Return whether this process has only a part of a tensor."""
    loaded = sys.modules.get("torch.distributed.tensor")  # no DTensor exists before this import
    return loaded is not None and isinstance(tensor, loaded.DTensor)


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, sharing its memory."""
    return tensor.to_local() if is_split(tensor) else tensor  # type: ignore[attr-defined]


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return named tensors, gathered from all processes, which must call this together."""
    return {
        name: tensor.full_tensor() if is_split(tensor) else tensor  # type: ignore[attr-defined]
        for name, tensor in tensors.items()
    }


@torch.no_grad()
def fill(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be split."""
    if is_split(target):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)  # type: ignore[attr-defined]
    target.copy_(value)


def load(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load whole tensors by name into a module whose own tensors may be split, as `load_state_dict` does."""
    own = module.state_dict()
    if not any(is_split(tensor) for tensor in own.values()):
        module.load_state_dict(tensors)
        return
    if own.keys() != tensors.keys():
        raise ValueError(f"the stored weights differ in names: {sorted(own.keys() ^ tensors.keys())[:4]}")
    for name, target in own.items():
        fill(target, tensors[name])


@contextmanager
def gradients_kept(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Clear the gradients of parameters inside, and restore the present ones at the end."""
    before = [(parameter, parameter.grad) for parameter in parameters]
    for parameter, _ in before:
        parameter.grad = None
    yield
    for parameter, gradient in before:
        parameter.grad = gradient

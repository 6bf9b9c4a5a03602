"""Players that outgrow one device: their weights and optimizer state are split over processes by PyTorch's FSDP2.

Checkpoints hold whole tensors, so that any number of processes can resume them, sharded or not.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_APART_FROM = 1_000_000  # parameters of a module inside another from which it is gathered by itself


def units(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost modules that are called: those with a `forward` of their own that hold parameters."""
    if type(module).forward is not nn.Module.forward:
        if any(True for _ in module.parameters()):
            yield module
        return
    for child in module.children():
        yield from units(child)


def shard(module: nn.Module) -> None:
    """Split the parameters of every unit over all processes, in place; those outside of units stay whole everywhere."""
    from torch.distributed.fsdp import fully_shard  # half a second to import

    # It warns of outputs that are views, lest someone write into them: no family writes into what a network returned.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    for unit in units(module):
        large = [part for part in unit.modules() if part is not unit and _is_large(part)]
        for part in [*reversed(large), unit]:
            fully_shard(part)


def _is_large(module: nn.Module) -> bool:
    called = type(module).forward is not nn.Module.forward and not isinstance(module, nn.Sequential)
    return called and sum(parameter.numel() for parameter in module.parameters()) >= _APART_FROM


def is_split(tensor: Tensor) -> bool:
    """Return whether this process holds only a part of a tensor."""
    loaded = sys.modules.get("torch.distributed.tensor")  # there is no such tensor before
    return loaded is not None and isinstance(tensor, loaded.DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its parts, gathered from all processes if it is split."""
    found: Tensor = tensor.full_tensor() if is_split(tensor) else tensor  # type: ignore[attr-defined]
    return found


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, sharing its memory."""
    part: Tensor = tensor.to_local() if is_split(tensor) else tensor  # type: ignore[attr-defined]
    return part


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return named tensors whole; all processes must ask at once."""
    return {name: whole(tensor) for name, tensor in tensors.items()}


@torch.no_grad()
def fill(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be split."""
    if is_split(target):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)  # type: ignore[attr-defined]
    target.copy_(value)


def load(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module whole tensors by name, as `load_state_dict` does, where its own may be split."""
    own = module.state_dict()
    if not any(is_split(tensor) for tensor in own.values()):
        module.load_state_dict(tensors)
        return
    if own.keys() != tensors.keys():
        raise ValueError(f"the stored weights differ in names: {sorted(own.keys() ^ tensors.keys())[:4]}")
    for name, target in own.items():
        fill(target, tensors[name])


def unsplit(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return the tensors that every process holds whole."""
    return [tensor for tensor in tensors if not is_split(tensor)]


@contextmanager
def gradients_kept(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Give parameters back, in the end, the gradients that they have now."""
    before = [(parameter, parameter.grad) for parameter in parameters]
    for parameter, _ in before:
        parameter.grad = None
    yield
    for parameter, gradient in before:
        parameter.grad = gradient

"""The exponential moving average (EMA) of a family's weights and buffers, which is the model that is evaluated."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm

from simulacra.core.family import Family
from simulacra.engine.sharding import local


class EMA:
    """A copy of a family with averaged weights: ema <- d * ema + (1 - d) * live, where d = min(decay, (1 + n) / (10 + n)).

    n counts the updates. Floating-point parameters and buffers are averaged. Other buffers are copied, and so are those of
    parametrizations: the singular vectors of spectral normalization have unit length, which their average has not. The live
    weights are only read. copied: a copy of the family to average in; it is made here unless given.
    """

    def __init__(self, family: Family, decay: float, copied: Family | None = None) -> None:
        self.family = (copied or copy.deepcopy(family)).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        copied_only = {id(buffer) for buffer in _buffers_of_parametrizations(family)}
        self._averaged: list[tuple[Tensor, Tensor]] = []
        self._copied: list[tuple[Tensor, Tensor]] = []
        for own, live in zip(_tensors(self.family), _tensors(family), strict=True):
            is_averaged = live.is_floating_point() and id(live) not in copied_only
            (self._averaged if is_averaged else self._copied).append((own, live))

    @torch.no_grad()
    def update(self) -> None:
        """Average in the live weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_([own for own, _ in self._averaged], [live.detach() for _, live in self._averaged], 1 - decay)
        for own, live in self._copied:
            own.copy_(live)


def _tensors(family: Family) -> list[Tensor]:
    return [local(tensor) for tensor in (*family.parameters(), *family.buffers())]


def _buffers_of_parametrizations(family: Family) -> Iterator[Tensor]:
    """Yield the buffers of parametrizations, and of `nn.utils.spectral_norm`, which has the form of PyTorch before these."""
    for module in family.modules():
        if isinstance(module, ParametrizationList):
            yield from module.buffers()
        hooks = (hook for hook in module._forward_pre_hooks.values() if isinstance(hook, SpectralNorm))
        yield from (module.get_buffer(f"{hook.name}_{side}") for hook in hooks for side in ("u", "v"))

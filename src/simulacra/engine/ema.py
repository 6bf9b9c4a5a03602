"""The exponential moving average (EMA) of a family's weights and buffers, which is the model that is evaluated."""

import copy

import torch
from torch import Tensor

from simulacra.core.family import Family
from simulacra.engine.sharding import local


class EMA:
    """A copy of a family with averaged weights: ema <- d * ema + (1 - d) * live, where d = min(decay, (1 + n) / (10 + n)).

    n counts the updates. Floating-point parameters and buffers are averaged, other buffers are copied. The live weights are only
    read. copied: a copy of the family to average in; it is made here unless given.
    """

    def __init__(self, family: Family, decay: float, copied: Family | None = None) -> None:
        self.family = (copied or copy.deepcopy(family)).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        pairs = list(zip(_tensors(self.family), _tensors(family), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Average in the live weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_([pair[0] for pair in self._floats], [pair[1].detach() for pair in self._floats], 1 - decay)
        for averaged, live in self._others:
            averaged.copy_(live)


def _tensors(family: Family) -> list[Tensor]:
    return [local(tensor) for tensor in (*family.parameters(), *family.buffers())]

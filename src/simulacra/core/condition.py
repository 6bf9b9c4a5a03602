"""Conditions: everything that a model is given besides noise or an image."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """What a conditional model is given, one row for each image; a field that is None is not given.

    labels: int64 [b], or [b k] for k attributes; image: float [b c h w] in [0, 1], a degraded measurement; known: float
    [b 1 h w], 1 where a pixel of `image` was observed and 0 elsewhere; tokens: int64 [b t], a caption.
    """

    labels: Tensor | None = None
    image: Tensor | None = None
    known: Tensor | None = None
    tokens: Tensor | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the fields that are given."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name) is not None)

    def to(self, device: torch.device | str) -> "Condition":
        """Return the condition on a device."""
        return self.map(lambda values: values.to(device))

    def __getitem__(self, rows: slice | Tensor) -> "Condition":
        """Return the condition of some of the images."""
        return self.map(lambda values: values[rows])

    def split(self, size: int, count: int) -> list["Condition"]:
        """Return the conditions of `count` images in pieces of `size`; as many empty conditions where nothing is given."""
        return [self[start : start + size] for start in range(0, count, size)]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        """Return the condition with `change` applied to every field that is given."""
        return Condition(**{name: change(getattr(self, name)) for name in self.given})


UNCONDITIONAL = Condition()
"""The empty condition."""

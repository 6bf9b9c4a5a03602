"""Degradations that remove pixels."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from simulacra.degradations.degradation import Degraded, Draw, Operator


class Mask(Operator):
    """An operator that removes pixels: they become 0 and are no longer known."""

    masks: ClassVar[bool] = True

    def apply(self, degraded: Degraded, draw: Draw) -> Degraded:
        """Return the images without the missing pixels."""
        kept = self.kept(degraded.image, draw)
        return Degraded(degraded.image * kept, degraded.known * kept)

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels of images [b c h w] are kept: float [b 1 h w], or [1 1 h w] for all images alike."""
        raise NotImplementedError


@dataclass(frozen=True)
class Quadrants(Mask):
    """Keeps one, two or three quadrants: lower left, left half, all but the lower right (Sohn et al. 2015, section 5.1)."""

    count: int

    name = "quadrants"
    summary = "quadrants:1|2|3, the number of quadrants that are kept: the lower left, the left half, all but the lower right"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for 1, 2 or 3 quadrants."""
        if argument not in ("1", "2", "3"):
            raise ValueError(f"the number of quadrants kept is {argument!r}, expected 1, 2 or 3")
        return cls(int(argument))

    def __str__(self) -> str:
        return f"{self.name}:{self.count}"

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels are kept: float [1 1 h w]."""
        height, width = images.shape[2:]
        kept = images.new_zeros(1, 1, height, width)
        kept[..., height // 2 :, : width // 2] = 1
        if self.count > 1:
            kept[..., : height // 2, : width // 2] = 1
        if self.count > 2:
            kept[..., : height // 2, width // 2 :] = 1
        return kept


def uniform(noise: Tensor) -> Tensor:
    """Return numbers that are uniform in [0, 1] from standard normal noise."""
    return torch.special.ndtr(noise.float())

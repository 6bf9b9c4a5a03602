"""What a degradation is: operators applied one after the other, each a pure function of images and random numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

Draw = Callable[..., Tensor]
"""Random numbers: draw(*shape) returns new standard normal noise [b *shape], one row for each image (such as Streams.draw)."""


@dataclass(frozen=True)
class Degraded:
    """A degraded image and what is known of the original.

    image: float [b c h w] in [0, 1], of the original's size; missing pixels are 0. known: float [b 1 h w], 1 where the pixels
    of `image` equal those of the original and 0 elsewhere.
    """

    image: Tensor
    known: Tensor


class Operator(ABC):
    """One named operator with its argument."""

    name: ClassVar[str]
    summary: ClassVar[str]
    masks: ClassVar[bool] = False
    """Whether it removes pixels and leaves all others as they are."""
    linear: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def of(cls, argument: str) -> Self:
        """Return the operator with an argument, empty for its default; raises ValueError for an invalid one."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the text that `parse` turns into an equal operator."""

    @abstractmethod
    def apply(self, degraded: Degraded, draw: Draw) -> Degraded:
        """Return the degraded images; the values drawn depend on `draw` alone."""


@dataclass(frozen=True)
class Degradation:
    """Operators, applied from left to right."""

    operators: tuple[Operator, ...]

    def __str__(self) -> str:
        return "+".join(map(str, self.operators))

    @property
    def masks(self) -> bool:
        """Whether pixels are only removed: all others keep their values."""
        return all(operator.masks for operator in self.operators)

    def apply(self, images: Tensor, draw: Draw) -> Degraded:
        """Return degraded images of images float [b c h w] in [0, 1]: a pure function of the images and of what is drawn."""
        degraded = Degraded(images, torch.ones_like(images[:, :1]))
        for operator in self.operators:
            degraded = operator.apply(degraded, draw)
        return degraded

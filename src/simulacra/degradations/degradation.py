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
    """One step of a degradation, of images [b c h w] in [0, 1] of any size, each independent of the other images."""

    masks: ClassVar[bool] = False
    """Whether it removes pixels and leaves all others as they are."""
    linear: ClassVar[bool] = False
    """Whether it is a `LinearOperator`, before values are clipped to [0, 1]."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the name and the argument; of a `NamedOperator` the text that `parse` turns into an equal operator."""

    @abstractmethod
    def apply(self, degraded: Degraded, draw: Draw) -> Degraded:
        """Return the degraded images; random values depend on `draw` alone."""


class NamedOperator(Operator):
    """An operator that a text names: `name`, or `name:argument`."""

    name: ClassVar[str]
    argument: ClassVar[str] = ""
    """The form of what follows the name, for help, such as `:SIGMA`; in brackets where there is a default."""
    summary: ClassVar[str]

    @classmethod
    @abstractmethod
    def of(cls, argument: str) -> Self:
        """Return the operator with an argument, empty for its default; raises ValueError for an invalid one."""


class LinearOperator(Operator):
    """A linear operator A of the values of an image, which may depend on random numbers.

    Calls of `forward` and `adjoint` whose `draw` returns the same numbers use the same A.
    """

    linear: ClassVar[bool] = True

    @abstractmethod
    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return A x [b c h w] of images x [b c h w], not clipped."""

    @abstractmethod
    def adjoint(self, values: Tensor, draw: Draw) -> Tensor:
        """Return A* y [b c h w] of values y [b c h w], for which <A x, y> = <x, A* y>."""

    def apply(self, degraded: Degraded, draw: Draw) -> Degraded:
        """Return A x clipped to [0, 1]: no pixel is known any more."""
        return Degraded(self.forward(degraded.image, draw).clamp(0, 1), torch.zeros_like(degraded.known))


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


def uniform(noise: Tensor) -> Tensor:
    """Return numbers that are uniform in [0, 1] from standard normal noise, in float32."""
    return torch.special.ndtr(noise.float())


def integers(noise: Tensor, count: int) -> Tensor:
    """Return integers int64 that are uniform in 0 .. count-1 from standard normal noise, in the shape of the noise."""
    return (uniform(noise) * count).long().clamp_max(count - 1)


def apply_one_of(degradations: tuple[Degradation, ...], images: Tensor, draw: Draw) -> Degraded:
    """Return images [b c h w], each degraded by one of several degradations, which is drawn uniformly for each image."""
    if len(degradations) == 1:
        return degradations[0].apply(images, draw)
    choice = integers(draw(1), len(degradations))[:, :, None, None]
    first, *others = (degradation.apply(images, draw) for degradation in degradations)
    image, known = first.image, first.known
    for number, degraded in enumerate(others, 1):
        image = torch.where(choice == number, degraded.image, image)
        known = torch.where(choice == number, degraded.known, known)
    return Degraded(image, known)

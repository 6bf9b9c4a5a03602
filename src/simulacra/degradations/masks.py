"""Degradations that remove pixels: all others keep their values."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.degradations.arguments import no_argument, number
from simulacra.degradations.degradation import Degraded, Draw, LinearOperator, NamedOperator, integers, uniform

_LEAST, _MOST = 0.01, 0.99  # shares of an image


class Mask(LinearOperator):
    """An operator that removes pixels: they become 0 and are no longer known. It is its own adjoint."""

    masks: ClassVar[bool] = True

    @abstractmethod
    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels of images [b c h w] are kept: 1 or 0 in the type of the images, of a shape like [b 1 h w]."""

    def apply(self, degraded: Degraded, draw: Draw) -> Degraded:
        """Return the images without the missing pixels."""
        kept = self.kept(degraded.image, draw)
        return Degraded(degraded.image * kept, degraded.known * kept)

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the images without the missing pixels."""
        return images * self.kept(images, draw)

    def adjoint(self, values: Tensor, draw: Draw) -> Tensor:
        """Return the values without those of the missing pixels."""
        return self.forward(values, draw)


@dataclass(frozen=True, eq=False)
class FixedMask(Mask):
    """Removes the same pixels from all images. known: bool [h w], False where pixels are missing; title: its name in texts."""

    known: Tensor
    title: str

    def __str__(self) -> str:
        return self.title

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels are kept: [1 1 h w]. Raises UsageError for images of another size."""
        if images.shape[2:] != self.known.shape:
            sizes = ("x".join(map(str, reversed(shape))) for shape in (self.known.shape, images.shape[2:]))
            raise UsageError("mask {} has {} pixels, expected {}, the size of the images".format(self.title, *sizes))
        return self.known.to(images.device, images.dtype)[None, None]


@dataclass(frozen=True)
class Quadrants(Mask, NamedOperator):
    """Keeps one, two or three quadrants: lower left, left half, all but the lower right (Sohn et al. 2015, section 5.1)."""

    count: int

    name = "quadrants"
    argument = ":1|2|3"
    summary = "keeps 1, 2 or 3 quadrants: the lower left, the left half, all but the lower right"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for 1, 2 or 3 quadrants."""
        if argument not in ("1", "2", "3"):
            raise ValueError(f"the number of quadrants kept is {argument!r}, expected 1, 2 or 3: write quadrants:1")
        return cls(int(argument))

    def __str__(self) -> str:
        return f"{self.name}:{self.count}"

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels are kept: [1 1 h w]."""
        height, width = images.shape[2:]
        kept = images.new_zeros(1, 1, height, width)
        kept[..., height // 2 :, : width // 2] = 1
        if self.count > 1:
            kept[..., : height // 2, : width // 2] = 1
        if self.count > 2:
            kept[..., : height // 2, width // 2 :] = 1
        return kept


class _Part(Mask, NamedOperator):
    """Removes a part of the image that is given by the relative positions of the centres of the pixels."""

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator, which takes no argument."""
        no_argument(argument, cls.name)
        return cls()

    def __str__(self) -> str:
        return self.name

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels are kept: [1 1 h w]."""
        down, right = (_positions(side, images.device) for side in images.shape[2:])
        missing = self.missing(down[:, None], right[None, :]).expand(images.shape[2:])
        return (~missing).to(images.dtype)[None, None]

    @abstractmethod
    def missing(self, down: Tensor, right: Tensor) -> Tensor:
        """Return which pixels are missing, bool, from their positions in [0, 1] from the top [h 1] and from the left [1 w]."""


@dataclass(frozen=True)
class Left(_Part):
    """Removes the left half."""

    name = "left"
    summary = "removes the left half"

    def missing(self, down: Tensor, right: Tensor) -> Tensor:
        """Return which pixels are missing."""
        return right < 0.5


@dataclass(frozen=True)
class Right(_Part):
    """Removes the right half."""

    name = "right"
    summary = "removes the right half"

    def missing(self, down: Tensor, right: Tensor) -> Tensor:
        """Return which pixels are missing."""
        return right >= 0.5


@dataclass(frozen=True)
class Top(_Part):
    """Removes the top half."""

    name = "top"
    summary = "removes the top half"

    def missing(self, down: Tensor, right: Tensor) -> Tensor:
        """Return which pixels are missing."""
        return down < 0.5


@dataclass(frozen=True)
class Bottom(_Part):
    """Removes the bottom half."""

    name = "bottom"
    summary = "removes the bottom half"

    def missing(self, down: Tensor, right: Tensor) -> Tensor:
        """Return which pixels are missing."""
        return down >= 0.5


@dataclass(frozen=True)
class Centre(_Part):
    """Removes the centre: half of each side, a quarter of the area."""

    name = "centre"
    summary = "removes the centre, half of each side"

    def missing(self, down: Tensor, right: Tensor) -> Tensor:
        """Return which pixels are missing."""
        return ((down - 0.5).abs() < 0.25) & ((right - 0.5).abs() < 0.25)


@dataclass(frozen=True)
class Box(Mask, NamedOperator):
    """Removes a box whose sides are a share of the image's sides, in the centre or at a place drawn for each image."""

    share: float = 0.5
    random: bool = False

    name = "box"
    argument = "[:SHARE][:random]"
    summary = "removes a box with SHARE of each side (default 0.5), in the centre, or with :random anywhere, drawn for each image"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for `SHARE`, `random` or `SHARE:random`."""
        parts = [part for part in argument.split(":") if part]
        random = parts[-1:] == ["random"]
        numbers = parts[:-1] if random else parts
        if len(numbers) > 1:
            raise ValueError(f"its argument is {argument!r}, expected SHARE, random or SHARE:random: write box:0.5:random")
        share = number(numbers[0], "share of each side", _LEAST, _MOST, "box:0.5") if numbers else cls.share
        return cls(share, random)

    def __str__(self) -> str:
        return f"{self.name}:{self.share:g}" + (":random" if self.random else "")

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels are kept: [b 1 h w], or [1 1 h w] for all images alike."""
        height, width = images.shape[2:]
        noise = draw(2) if self.random else None
        rows = self._inside(height, images.device, None if noise is None else noise[:, 0])
        columns = self._inside(width, images.device, None if noise is None else noise[:, 1])
        return (~(rows[:, :, None] & columns[:, None, :])).to(images.dtype)[:, None]

    def _inside(self, side: int, device: torch.device, noise: Tensor | None) -> Tensor:
        """Return which pixels of a side are in the box: bool [b side], or [1 side] for the centred box."""
        count = max(1, round(self.share * side))
        spaces = side - count + 1  # places of the box
        place = integers(noise, spaces)[:, None] if noise is not None else torch.tensor([[(spaces - 1) // 2]], device=device)
        positions = torch.arange(side, device=device)
        return (positions >= place) & (positions < place + count)


@dataclass(frozen=True)
class RandomMask(Mask, NamedOperator):
    """Removes each pixel with a probability, drawn for each image."""

    share: float

    name = "random-mask"
    argument = ":SHARE"
    summary = "removes each pixel with probability SHARE, drawn for each image"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for a probability."""
        return cls(number(argument, "share of missing pixels", _LEAST, _MOST, "random-mask:0.5"))

    def __str__(self) -> str:
        return f"{self.name}:{self.share:g}"

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels are kept: [b 1 h w]."""
        return (uniform(draw(1, *images.shape[2:])) >= self.share).to(images.dtype)


@dataclass(frozen=True)
class _Lines(Mask, NamedOperator):
    """Keeps a share of the lines of pixels along one axis, drawn for each image: exactly round(share * lines), at least one."""

    share: float

    axis: ClassVar[int]

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for a share."""
        return cls(number(argument, f"share of {cls.name} kept", _LEAST, _MOST, f"{cls.name}:0.25"))

    def __str__(self) -> str:
        return f"{self.name}:{self.share:g}"

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which pixels are kept: [b 1 h 1] or [b 1 1 w]."""
        side = images.shape[self.axis]
        kept = largest(draw(side), max(1, round(self.share * side)))
        return kept.to(images.dtype)[:, None].unsqueeze(2 if self.axis == 3 else 3)


@dataclass(frozen=True)
class Columns(_Lines):
    """Keeps a share of the columns."""

    name = "columns"
    argument = ":KEEP"
    summary = "keeps the share KEEP of the columns of pixels, drawn for each image"
    axis = 3


@dataclass(frozen=True)
class Rows(_Lines):
    """Keeps a share of the rows."""

    name = "rows"
    argument = ":KEEP"
    summary = "keeps the share KEEP of the rows of pixels, drawn for each image"
    axis = 2


def largest(scores: Tensor, count: int) -> Tensor:
    """Return which of each row of scores [b n] are its `count` largest: bool [b n]; of equal ones, the first."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order[:, :count], True)


def _positions(side: int, device: torch.device) -> Tensor:
    return (torch.arange(side, device=device) + 0.5) / side

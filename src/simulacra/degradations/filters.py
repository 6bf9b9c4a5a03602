"""Degradations that mix the pixels of rows and of columns by fixed matrices: blur and downscaling."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch
from torch import Tensor

from simulacra.degradations.arguments import number
from simulacra.degradations.degradation import Draw, LinearOperator, NamedOperator

_CUT = 6.0  # standard deviations after which a Gaussian is below a millionth of a grey level


class SeparableFilter(LinearOperator, NamedOperator):
    """The operator X -> R X C^T on each channel X [h w], with a matrix R for the rows and C for the columns."""

    @abstractmethod
    def matrix(self, side: int) -> Tensor:
        """Return the matrix [side side] in float64 that is applied along an axis of `side` pixels."""

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return R X C^T."""
        rows, columns = (self.matrix(side) for side in images.shape[2:])
        return _product(rows, images, columns.T)

    def adjoint(self, values: Tensor, draw: Draw) -> Tensor:
        """Return R^T Y C."""
        rows, columns = (self.matrix(side) for side in values.shape[2:])
        return _product(rows.T, values, columns)


@dataclass(frozen=True)
class Blur(SeparableFilter):
    """Gaussian blur; beyond the border the image is mirrored, border pixels included.

    With this border a symmetric kernel gives a symmetric matrix: the blur is its own adjoint, and constant images and the mean
    of every image stay as they are.
    """

    sigma: float

    name = "blur"
    argument = ":SIGMA"
    summary = "Gaussian blur with a standard deviation of SIGMA pixels"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for a standard deviation."""
        return cls(number(argument, "sigma in pixels", 0.1, 100, "blur:1.5"))

    def __str__(self) -> str:
        return f"{self.name}:{self.sigma:g}"

    def matrix(self, side: int) -> Tensor:
        """Return the blur of one axis."""
        return _blur_matrix(self.sigma, side)


@dataclass(frozen=True)
class Downscale(SeparableFilter):
    """The mean over blocks of pixels, repeated to the original size: an orthogonal projection, hence its own adjoint."""

    factor: int

    name = "downscale"
    argument = ":FACTOR"
    summary = "mean over blocks of FACTOR x FACTOR pixels, each block filled with its mean"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for a whole number of pixels."""
        factor = number(argument, "factor", 2, 64, "downscale:2")
        if factor != int(factor):
            raise ValueError(f"the factor is {argument}, expected a whole number: write downscale:2")
        return cls(int(factor))

    def __str__(self) -> str:
        return f"{self.name}:{self.factor}"

    def matrix(self, side: int) -> Tensor:
        """Return the means over blocks of one axis; a last block that is cut off by the border is smaller."""
        blocks = torch.arange(side) // self.factor
        same = (blocks[:, None] == blocks[None, :]).double()
        return same / same.sum(1, keepdim=True)


def _product(left: Tensor, values: Tensor, right: Tensor) -> Tensor:
    """Return left @ values @ right in the type of the values, also under autocast."""
    left, right = (matrix.to(values.device, values.dtype) for matrix in (left, right))
    with torch.autocast(values.device.type, enabled=False):
        return left @ values @ right


@lru_cache(maxsize=64)
def _blur_matrix(sigma: float, side: int) -> Tensor:
    """Return the sum of the Gaussian at all mirror images of each pixel, with rows that sum to 1."""
    places = torch.arange(side, dtype=torch.float64)
    periods = int(_CUT * sigma / (2 * side)) + 2
    shifts = 2 * side * torch.arange(-periods, periods + 1, dtype=torch.float64)[:, None, None, None]
    down, right = places[:, None], places[None, :]
    offsets = torch.stack([down - right, down + right + 1])  # to the pixel, and to its mirror image
    kernel = torch.exp(-((offsets + shifts) ** 2) / (2 * sigma**2)).sum((0, 1))
    return kernel / kernel.sum(1, keepdim=True)

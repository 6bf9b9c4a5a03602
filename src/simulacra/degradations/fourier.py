"""Undersampling of Fourier coefficients, as in accelerated magnetic resonance imaging."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from simulacra.degradations.arguments import number
from simulacra.degradations.degradation import Draw, LinearOperator, NamedOperator
from simulacra.degradations.masks import largest

_CENTRE = 0.08  # share of the fully sampled centre for 4-fold acceleration (Zbontar et al. 2018, fastMRI)


@dataclass(frozen=True)
class _FourierLines(LinearOperator, NamedOperator):
    """Keeps lines of the two-dimensional Fourier transform and sets all others to 0: Re F^-1 M F (Zbontar et al. 2018).

    The lines of the lowest frequencies, a share `centre`, are always kept; others are drawn for each image until
    round(share * lines) are kept, at least one. The result is the real part of the inverse transform, so that the operator is
    linear, and its own adjoint.
    """

    share: float
    centre: float

    axis: ClassVar[int]
    argument = ":KEEP[:CENTRE]"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for the share of lines that are kept, and the share of the centre."""
        kept, _, middle = argument.partition(":")
        example = f"{cls.name}:0.25:{_CENTRE}"
        share = number(kept, "share of lines kept", 0.01, 0.99, example)
        centre = number(middle, "share of the centre", 0, 0.99, example) if middle else min(_CENTRE, share)
        if centre > share:
            raise ValueError(f"the centre, {centre:g}, is more than the share {share:g} of all lines kept: write {example}")
        return cls(share, centre)

    def __str__(self) -> str:
        return f"{self.name}:{self.share:g}:{self.centre:g}"

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the real part of the image whose other Fourier coefficients are 0."""
        kept = self.kept(images, draw)
        return torch.fft.ifft2(torch.fft.fft2(images) * kept).real

    def adjoint(self, values: Tensor, draw: Draw) -> Tensor:
        """Return the same: the operator is its own adjoint."""
        return self.forward(values, draw)

    def kept(self, images: Tensor, draw: Draw) -> Tensor:
        """Return which coefficients are kept, in the order of `torch.fft`: 1 or 0, [b 1 h 1] or [b 1 1 w]."""
        side = images.shape[self.axis]
        count = max(1, round(self.share * side))
        distance = torch.fft.fftfreq(side, device=images.device).abs()
        central = distance.argsort(stable=True)[: min(count, round(self.centre * side))]
        scores = draw(side).float().index_fill(1, central, torch.inf)
        return largest(scores, count).to(images.dtype)[:, None].unsqueeze(2 if self.axis == 3 else 3)


@dataclass(frozen=True)
class FourierColumns(_FourierLines):
    """Keeps columns of Fourier coefficients: horizontal frequencies."""

    name = "fourier-columns"
    summary = (
        "keeps the share KEEP of the columns of Fourier coefficients, among them the CENTRE of low frequencies (default 0.08)"
    )
    axis = 3


@dataclass(frozen=True)
class FourierRows(_FourierLines):
    """Keeps rows of Fourier coefficients: vertical frequencies."""

    name = "fourier-rows"
    summary = "the same for rows"
    axis = 2

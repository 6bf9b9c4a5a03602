"""Degradation by noise."""

from dataclasses import dataclass
from typing import Self

import torch

from simulacra.degradations.arguments import number
from simulacra.degradations.degradation import Degraded, Draw, NamedOperator


@dataclass(frozen=True)
class Noise(NamedOperator):
    """Adds Gaussian noise, independent for each value, and clips the sum to [0, 1]."""

    sigma: float

    name = "noise"
    argument = ":SIGMA"
    summary = "adds Gaussian noise with a standard deviation of SIGMA (of a range from 0 to 1), clipped to that range"

    @classmethod
    def of(cls, argument: str) -> Self:
        """Return the operator for a standard deviation."""
        return cls(number(argument, "sigma", 0.001, 10, "noise:0.1"))

    def __str__(self) -> str:
        return f"{self.name}:{self.sigma:g}"

    def apply(self, degraded: Degraded, draw: Draw) -> Degraded:
        """Return noisy images: no pixel is known any more."""
        noise = draw(*degraded.image.shape[1:]).to(degraded.image.dtype)
        return Degraded((degraded.image + self.sigma * noise).clamp(0, 1), torch.zeros_like(degraded.known))

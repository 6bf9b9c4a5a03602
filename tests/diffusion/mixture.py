"""A distribution of single pixels with closed-form denoiser and flow: a mixture of Gaussians."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels, ProbabilityPath
from simulacra.diffusion.samplers import DenoiserOutput

_LIMIT, _BISECTIONS = 1e3, 90


@dataclass(frozen=True)
class Mixture:
    """Weights, means and standard deviations of the components; images are [b 1 1 1]."""

    weights: tuple[float, ...] = (0.3, 0.7)
    means: tuple[float, ...] = (-0.6, 0.5)
    stds: tuple[float, ...] = (0.15, 0.25)

    def denoise(self, noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
        """Return E(image | noisy): the mean over components, weighted by their posterior probabilities."""
        weights, means, stds, spread = self._at(level)
        densities = weights * torch.exp(-0.5 * ((noisy[..., None] - level.alpha * means) / spread) ** 2) / spread
        posterior = densities / densities.sum(-1, keepdim=True)
        images = means + level.alpha * stds**2 / spread**2 * (noisy[..., None] - level.alpha * means)
        return DenoiserOutput((posterior * images).sum(-1))

    def cumulative(self, noisy: Tensor, level: NoiseLevels) -> Tensor:
        """Return the cumulative distribution function at this level."""
        weights, means, _, spread = self._at(level)
        return (weights * torch.special.ndtr((noisy[..., None] - level.alpha * means) / spread)).sum(-1)

    def log_density(self, noisy: Tensor, level: NoiseLevels) -> Tensor:
        """Return the log density at this level."""
        weights, means, _, spread = self._at(level)
        densities = weights * torch.exp(-0.5 * ((noisy[..., None] - level.alpha * means) / spread) ** 2) / spread
        return (densities.sum(-1) / (2 * torch.pi) ** 0.5).log()

    def transport(self, noisy: Tensor, level: NoiseLevels, target: NoiseLevels) -> Tensor:
        """Map values along the flow between two levels; in one dimension the flow keeps quantiles (found by bisection)."""
        quantiles = self.cumulative(noisy, level)
        low, high = torch.full_like(noisy, -_LIMIT), torch.full_like(noisy, _LIMIT)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = self.cumulative(middle, target) < quantiles
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)

    def _at(self, level: NoiseLevels) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weights, means, stds = (torch.tensor(part, dtype=torch.float64) for part in (self.weights, self.means, self.stds))
        return weights, means, stds, ((level.alpha * stds) ** 2 + level.sigma**2).sqrt()


def variance_exploding(log_snr: Callable[[Tensor], Tensor]) -> ProbabilityPath:
    """Return the path with alpha = 1 of a schedule: sigma^2 = exp(-log SNR) (Karras et al. 2022)."""

    def path(time: Tensor) -> NoiseLevels:
        ratio = log_snr(time.double())
        return NoiseLevels(time.double(), torch.ones_like(ratio), torch.exp(-0.5 * ratio))

    return path

"""A law of single pixels whose ideal denoiser and whose flow are known in closed form: a mixture of Gaussians on the line."""

from dataclasses import dataclass

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level
from simulacra.diffusion.samplers import Estimate

_REACH, _BISECTIONS = 1e3, 90


@dataclass(frozen=True)
class Mixture:
    """Weights, means and standard deviations, as many of each; images are [b 1 1 1]."""

    shares: tuple[float, ...] = (0.3, 0.7)
    means: tuple[float, ...] = (-0.6, 0.5)
    stds: tuple[float, ...] = (0.15, 0.25)

    def denoise(self, noisy: Tensor, level: Level) -> Estimate:
        """Return E(image | noisy): of each component, weighed by how probable the component is."""
        shares, means, stds, spread = self._at(level)
        densities = shares * torch.exp(-0.5 * ((noisy[..., None] - level.alpha * means) / spread) ** 2) / spread
        posterior = densities / densities.sum(-1, keepdim=True)
        images = means + level.alpha * stds**2 / spread**2 * (noisy[..., None] - level.alpha * means)
        return Estimate((posterior * images).sum(-1))

    def cumulative(self, noisy: Tensor, level: Level) -> Tensor:
        """Return the probability at this level of a value below `noisy`."""
        shares, means, _, spread = self._at(level)
        return (shares * torch.special.ndtr((noisy[..., None] - level.alpha * means) / spread)).sum(-1)

    def log_density(self, noisy: Tensor, level: Level) -> Tensor:
        """Return the log density at this level."""
        shares, means, _, spread = self._at(level)
        densities = shares * torch.exp(-0.5 * ((noisy[..., None] - level.alpha * means) / spread) ** 2) / spread
        return (densities.sum(-1) / (2 * torch.pi) ** 0.5).log()

    def carried(self, noisy: Tensor, here: Level, there: Level) -> Tensor:
        """Return where the flow carries values from one level to another: on the line, to the same quantile (by bisection)."""
        wanted = self.cumulative(noisy, here)
        low, high = torch.full_like(noisy, -_REACH), torch.full_like(noisy, _REACH)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = self.cumulative(middle, there) < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)

    def _at(self, level: Level) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shares, means, stds = (torch.tensor(part, dtype=torch.float64) for part in (self.shares, self.means, self.stds))
        return shares, means, stds, ((level.alpha * stds) ** 2 + level.sigma**2).sqrt()

"""Noise levels: the coefficients of image and noise in a noisy image.

    noisy = alpha * image + sigma * noise,        image in [-1, 1], noise standard normal

This covers variance-preserving (alpha^2 + sigma^2 = 1, Ho et al. 2020), variance-exploding (alpha = 1, Karras et al. 2022) and
the straight paths of flow matching (alpha = 1 - time, sigma = time, Lipman et al. 2022).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseLevels:
    """One or more noise levels: float64 tensors of one shape. `time` in [0, 1] is the network's input; 1 is the noisiest.

    end: of a step that begins at the level, its last time, which models of average velocities need; None for no step.
    """

    time: Tensor
    alpha: Tensor
    sigma: Tensor
    end: Tensor | None = None

    @property
    def log_snr(self) -> Tensor:
        """Logarithm of the signal-to-noise ratio alpha^2 / sigma^2: +inf without noise, -inf for pure noise."""
        return 2 * (self.alpha.log() - self.sigma.log())

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio alpha^2 / sigma^2."""
        return (self.alpha / self.sigma) ** 2

    @property
    def spread(self) -> float:
        """Standard deviation of noisy images of unit variance at a single level: the scale of the initial noise."""
        return float((self.alpha**2 + self.sigma**2).sqrt())

    def __len__(self) -> int:
        """Return the number of levels."""
        return len(self.time)

    def __getitem__(self, index: int | slice | Tensor) -> "NoiseLevels":
        """Return the levels at an index."""
        return NoiseLevels(self.time[index], self.alpha[index], self.sigma[index])

    def __iter__(self) -> Iterator["NoiseLevels"]:
        """Iterate over single levels."""
        return (self[index] for index in range(len(self)))

    def reversed(self) -> "NoiseLevels":
        """Return the levels in reverse order."""
        return NoiseLevels(self.time.flip(0), self.alpha.flip(0), self.sigma.flip(0))

    def broadcast_to(self, images: Tensor) -> "NoiseLevels":
        """Return the levels as factors of images [b ...]: on their device, in their dtype, of shape [] or [b 1 ...]."""
        return NoiseLevels(*(broadcast_like(values, images) for values in (self.time, self.alpha, self.sigma)))


ProbabilityPath = Callable[[Tensor], NoiseLevels]
"""From times in [0, 1] to noise levels; later times are noisier."""


def broadcast_like(values: Tensor, images: Tensor) -> Tensor:
    """Return values [] or [b] as factors of images [b ...]: in their dtype, on their device, of shape [] or [b 1 ...]."""
    cast = values.to(images.device, images.dtype)
    return cast.reshape(cast.shape + (1,) * (images.ndim - 1)) if cast.ndim else cast


def add_noise(images: Tensor, noise: Tensor, level: NoiseLevels) -> Tensor:
    """Return alpha * images + sigma * noise (Ho et al. 2020, eq. 4), for one level [] or one level per image [b]."""
    factors = level.broadcast_to(images)
    return factors.alpha * images + factors.sigma * noise


def variance_preserving(log_snr: Callable[[Tensor], Tensor]) -> ProbabilityPath:
    """Return the path with alpha^2 + sigma^2 = 1 of a schedule: alpha^2 = sigmoid(log SNR) (Kingma et al. 2021, eq. 4)."""

    def path(time: Tensor) -> NoiseLevels:
        ratio = log_snr(time.double())
        return NoiseLevels(time.double(), torch.sigmoid(ratio).sqrt(), torch.sigmoid(-ratio).sqrt())

    return path


def straight_path(time: Tensor) -> NoiseLevels:
    """Return the levels of flow matching's straight path: alpha = 1 - time, sigma = time (Lipman et al. 2022, eq. 22).

    Time runs from the image to the noise, the paper's the other way; the paper's sigma_min is 0.
    """
    time = time.double()
    return NoiseLevels(time, 1 - time, time)


def append_clean_level(levels: NoiseLevels) -> NoiseLevels:
    """Return levels [n + 1]: the given levels [n], then the level of the clean image (time 0, alpha 1, sigma 0)."""
    clean = ((levels.time, 0.0), (levels.alpha, 1.0), (levels.sigma, 0.0))
    return NoiseLevels(*(torch.cat([values, torch.tensor([end], dtype=torch.float64)]) for values, end in clean))


def pixel_range(images: Tensor) -> Tensor:
    """Return images in [0, 1] of images in [-1, 1], clipped."""
    return (0.5 * (images + 1)).clamp(0, 1)


# Variances of a reverse step depend on its two levels alone: those that a strided chain skips have no influence (trap 12).


def forward_variance(level: NoiseLevels, next_level: NoiseLevels) -> Tensor:
    """Return the variance of the forward step: sigma^2 - (alpha / next_alpha)^2 next_sigma^2 (Kingma et al. 2021, appendix A.1).

    On variance-preserving paths it equals beta of Ho et al. (2020, eq. 2). Computed as -sigma^2 expm1(log SNR - next log SNR),
    which has no cancellation for small steps.
    """
    return level.sigma**2 * -torch.expm1(level.log_snr - next_level.log_snr)


def posterior_variance(level: NoiseLevels, next_level: NoiseLevels) -> Tensor:
    """Return the variance of the forward process posterior, beta tilde of Ho et al. (2020, eq. 7); 0 if next_sigma is 0.

    It equals next_sigma^2 / sigma^2 times the forward variance, and is the reverse variance for a known image, the lower bound.
    """
    return next_level.sigma**2 * -torch.expm1(level.log_snr - next_level.log_snr)


def upper_variance(level: NoiseLevels, next_level: NoiseLevels) -> Tensor:
    """Return the reverse variance for standard normal images, the upper bound (Ho et al. 2020, section 3.2).

    On variance-preserving paths it equals beta; in general forward / ((alpha / next_alpha)^2 + forward / (next_alpha^2 +
    next_sigma^2)), with forward the forward variance.
    """
    forward = forward_variance(level, next_level)
    prior = next_level.alpha**2 + next_level.sigma**2
    kept = (level.alpha / next_level.alpha) ** 2
    return forward * prior / (kept * prior + forward)


def learned_log_variance(interpolation: Tensor, level: NoiseLevels, next_level: NoiseLevels) -> Tensor:
    """Return the logarithm of a learned variance: v log(upper) + (1 - v) log(posterior) (Nichol & Dhariwal 2021, eq. 15).

    The interpolation is in the logarithm (trap 13). interpolation: v, computed from a network's output, nominally in [0, 1], of
    any shape that broadcasts with the levels; the result has its dtype. `next_level` must have noise.
    """
    upper, lower = (variance(level, next_level).log().to(interpolation) for variance in (upper_variance, posterior_variance))
    return interpolation * upper + (1 - interpolation) * lower

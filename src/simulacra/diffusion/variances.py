"""Variances of a reverse step from a noise level `level` to a less noisy `next_level`, any distance apart.

Steps of a strided chain are computed from their two levels only; the levels skipped between them have no influence (trap 12).
"""

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels


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

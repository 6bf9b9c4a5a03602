"""The variance of one step back, from a level `here` to a less noisy one `there`, however far they lie apart.

The steps of a strided chain are steps like any other: all that counts are the two levels at its ends (trap 12).
"""

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level


def log_kept(here: Level, there: Level) -> Tensor:
    """Return log((alpha_here / alpha_there)^2), for the share of variance that survives the step forward: log(1 - beta)."""
    return 2 * (here.alpha.log() - there.alpha.log())


def step_variance(here: Level, there: Level) -> Tensor:
    """Return the variance of a step forward, sigma_here^2 - (alpha_here / alpha_there)^2 sigma_there^2 (Kingma et al. 2021, A.1).

    On variance-preserving paths it is beta of Ho et al. (2020, eq. 2). Computed as -sigma_here^2 expm1(-difference of log SNR),
    which does not cancel where steps are small.
    """
    return here.sigma**2 * -torch.expm1(here.log_snr - there.log_snr)


def posterior_variance(here: Level, there: Level) -> Tensor:
    """Return the variance of `there` given `here` and the image (Ho et al. 2020, eq. 7): what a step needs if the image is known.

    sigma_there^2 / sigma_here^2 times that of the step forward. Zero where `there` has no noise.
    """
    return there.sigma**2 * -torch.expm1(here.log_snr - there.log_snr)


def widest_variance(here: Level, there: Level) -> Tensor:
    """Return the variance of `there` given `here` where images are standard normal: sigma^2 = beta (Ho et al. 2020, section 3.2).

    It is the variance of the step forward, over (alpha_here / alpha_there)^2 + it: beta itself on variance-preserving paths.
    """
    forward = step_variance(here, there)
    prior = there.alpha**2 + there.sigma**2
    kept = (here.alpha / there.alpha) ** 2
    return forward * prior / (kept * prior + forward)


def learned_log_variance(share: Tensor, here: Level, there: Level) -> Tensor:
    """Return exp's argument in Nichol & Dhariwal (2021, eq. 15): share * log(widest) + (1 - share) * log(posterior).

    Interpolated in the logarithm, not linearly (trap 13). share: a network's output of any shape, nominally in [0, 1], against
    which levels are broadcast; the result has its type. `there` must have noise.
    """
    widest, posterior = (variance(here, there).log().to(share) for variance in (widest_variance, posterior_variance))
    return share * widest + (1 - share) * posterior

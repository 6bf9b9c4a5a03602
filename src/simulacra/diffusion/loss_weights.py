"""Loss weights: how much the squared error of the estimated image counts at each level.

The error of a network's output is that of the image over the parameterization's `scale`, so that the same weight is the square
of `scale` times as large for it: what is trained is the weight, whichever the output means.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level
from simulacra.diffusion.parameterizations import Factors

_GAMMA = 5.0  # Hang et al. 2023, section 3.4
_DATA_STD = 0.5  # standard deviation of images in [-1, 1] (Karras et al. 2022, table 1)


def simple(level: Level) -> Tensor:
    """Return the SNR: the squared error of the noise, unweighted (Ho et al. 2020, eq. 14)."""
    return level.snr


def min_snr(level: Level) -> Tensor:
    """Return min(SNR, 5), so that the least noisy levels do not outweigh the others (Hang et al. 2023, section 3.4)."""
    return level.snr.clamp_max(_GAMMA)


def edm(level: Level) -> Tensor:
    """Return SNR + 1 / 0.5^2: the squared error of the preconditioned output, unweighted (Karras et al. 2022, table 1)."""
    return level.snr + 1 / _DATA_STD**2


def straight(level: Level) -> Tensor:
    """Return ((alpha + sigma) / sigma)^2: the squared error of the velocity, unweighted (Lipman et al. 2022, eq. 23)."""
    return ((level.alpha + level.sigma) / level.sigma) ** 2


WEIGHTS: dict[str, Callable[[Level], Tensor]] = {"simple": simple, "min-snr": min_snr, "edm": edm, "straight": straight}


def of_output(weight: Tensor, factors: Factors) -> Tensor:
    """Return the weight of an output's squared error, from that of the image's."""
    return weight * torch.square(factors.scale)

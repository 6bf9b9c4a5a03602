"""Loss weights: the weight of the squared error of the predicted image at each noise level.

The error of the network's output is the image's error divided by the parameterization's c_out, so the equivalent weight of the
output's squared error is c_out^2 times as large (`output_weight`).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels
from simulacra.diffusion.parameterizations import Coefficients

_GAMMA = 5.0  # Hang et al. 2023, section 3.4
_DATA_STD = 0.5  # standard deviation of images in [-1, 1] (Karras et al. 2022, table 1)


def simple(level: NoiseLevels) -> Tensor:
    """Return the SNR: the unweighted squared error of the noise (Ho et al. 2020, eq. 14)."""
    return level.snr


def min_snr(level: NoiseLevels) -> Tensor:
    """Return min(SNR, 5), which limits the weight of the least noisy levels (Hang et al. 2023, section 3.4)."""
    return level.snr.clamp_max(_GAMMA)


def edm(level: NoiseLevels) -> Tensor:
    """Return SNR + 1 / 0.5^2: the unweighted squared error of the preconditioned output (Karras et al. 2022, table 1)."""
    return level.snr + 1 / _DATA_STD**2


def flow_matching(level: NoiseLevels) -> Tensor:
    """Return ((alpha + sigma) / sigma)^2: the unweighted squared error of the velocity (Lipman et al. 2022, eq. 23)."""
    return ((level.alpha + level.sigma) / level.sigma) ** 2


LOSS_WEIGHTS: dict[str, Callable[[NoiseLevels], Tensor]] = {"simple": simple, "min-snr": min_snr, "edm": edm}


def output_weight(image_weight: Tensor, coefficients: Coefficients) -> Tensor:
    """Convert a weight of the image's squared error to the equivalent weight of the output's squared error."""
    return image_weight * torch.square(coefficients.c_out)

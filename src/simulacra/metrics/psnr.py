"""Peak signal-to-noise ratio, in decibels."""

import torch
from torch import Tensor

from simulacra.metrics.measurement import Measurement, mean_of

BEST = 100.0  # decibels of a perfect reconstruction, instead of infinity


def psnr_db(values: Tensor) -> Measurement:
    """Return psnr_db: the mean over images of the ratios [n] that `psnr` returns, in decibels."""
    return mean_of(values, {"pixels": "in [0, 1]", "mean": "of decibels over images", "at_most": BEST})


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Return -10 log10 of the mean squared error of each image [n c h w] in [0, 1], at most 100: float64 [n]."""
    errors = (images.double() - references.double()).square().flatten(1).mean(1)
    return -10 * torch.log10(errors.clamp_min(10 ** (-BEST / 10)))

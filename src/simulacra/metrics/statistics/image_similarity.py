"""Similarity of images: peak signal-to-noise ratio, and structural similarity, SSIM (Wang et al. 2004)."""

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.metrics.statistics.measurement import Measurement, mean_of

BEST = 100.0  # decibels of a perfect reconstruction, instead of infinity
WINDOW, SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2  # (K L)^2 with a range L of 1


def psnr_db(values: Tensor) -> Measurement:
    """Return psnr_db: the mean over images of the ratios [n] that `psnr` returns, in decibels."""
    return mean_of(values, {"pixels": "in [0, 1]", "mean": "of decibels over images", "at_most": BEST})


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Return -10 log10 of the mean squared error of each image [n c h w] in [0, 1], at most 100: float64 [n]."""
    errors = (images.double() - references.double()).square().flatten(1).mean(1)
    return -10 * torch.log10(errors.clamp_min(10 ** (-BEST / 10)))


def ssim_mean(values: Tensor) -> Measurement:
    """Return ssim: the mean over images of the similarities [n] that `ssim` returns; 1 means equal."""
    window = f"gaussian {WINDOW}x{WINDOW}, sigma {SIGMA}"
    return mean_of(values, {"window": window, "range": 1.0, "borders": "windows within the image"})


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """Return the mean structural similarity of each image [n c h w] in [0, 1] (Wang et al. 2004, eq. 13 and 17): float64 [n].

    Statistics are weighted by a gaussian window of 11x11 with sigma 1.5 at all positions inside the image, as in the authors'
    implementation; constants (0.01)^2 and (0.03)^2; mean over windows, then over channels. Raises UsageError for images smaller
    than a window.
    """
    height, width = images.shape[-2:]
    if min(height, width) < WINDOW:
        least = f"{WINDOW}x{WINDOW}, the window of ssim"
        raise UsageError(f"images are {height}x{width} pixels, expected at least {least}: use psnr_db or mse")
    x, y = images.double(), references.double()
    mean_x, mean_y = _smooth(x), _smooth(y)
    var_x, var_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return (luminance * structure).flatten(1).mean(1)


def _smooth(images: Tensor) -> Tensor:
    """Return the weighted mean of each window: float64 [n c h-10 w-10], by a separable filter."""
    rows, columns = (_windows(size).to(images.device) for size in images.shape[-2:])
    return rows @ images @ columns.T


def _windows(size: int) -> Tensor:
    """Return the weights of all windows along one axis: float64 [size-10 size]."""
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    bands = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for position, band in enumerate(bands):
        band[position : position + WINDOW] = weights / weights.sum()
    return bands

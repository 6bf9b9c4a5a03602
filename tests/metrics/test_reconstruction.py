"""PSNR and SSIM of reconstructions against references written from the papers, in float64."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.metrics.statistics.image_similarity import psnr, psnr_db, ssim, ssim_mean


def pictures(count: int = 2, channels: int = 1, height: int = 14, width: int = 17, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))


def wang(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Mean of eq. 13 over all windows within one channel [h w]: weighted sums about the weighted means, window by window."""
    grid = np.arange(-5, 6)
    weights = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (image[top : top + 11, left : left + 11] for image in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            both = (weights * (a - mean_a) * (b - mean_b)).sum()
            upper = (2 * mean_a * mean_b + 0.01**2) * (2 * both + 0.03**2)
            lower = (mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2)
            found.append(upper / lower)
    return float(np.mean(found))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(11, 11), (14, 17), (28, 11)])
def test_ssim_is_wangs_in_every_window_and_the_mean_over_channels(channels: int, height: int, width: int) -> None:
    images = pictures(2, channels, height, width)
    others = (0.7 * images + 0.3 * pictures(2, channels, height, width, 1)).clamp(0, 1)
    expected = [
        np.mean([wang(*(side[number, channel].double().numpy() for side in (images, others))) for channel in range(channels)])
        for number in range(2)
    ]
    torch.testing.assert_close(ssim(images, others), torch.tensor(np.array(expected)), rtol=1e-11, atol=1e-13)


def test_ssim_of_constant_images_is_their_luminance_alone() -> None:
    dark, bright = torch.full((1, 1, 20, 20), 0.2), torch.full((1, 1, 20, 20), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(dark, bright).item() == pytest.approx(expected, rel=1e-6)


def test_ssim_is_one_for_equal_images_symmetric_and_negative_for_inverted_ones() -> None:
    images, others = pictures(), pictures(seed=1)
    torch.testing.assert_close(ssim(images, images), torch.ones(2).double())
    torch.testing.assert_close(ssim(images, others), ssim(others, images))
    assert (ssim(images, 1 - images) < 0).all()


def test_ssim_refuses_images_that_are_smaller_than_its_window() -> None:
    with pytest.raises(UsageError, match=r"8x8 .* 11x11"):
        ssim(pictures(height=8, width=8), pictures(height=8, width=8))


def test_psnr_of_a_constant_error_is_its_logarithm_and_adds_over_no_pixels() -> None:
    images = pictures(channels=3) * 0.5
    torch.testing.assert_close(psnr(images + 0.1, images), torch.full((2,), 20.0).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(psnr(images + 0.01, images), torch.full((2,), 40.0).double(), rtol=1e-5, atol=0)


def test_psnr_of_a_perfect_reconstruction_is_a_hundred_decibels() -> None:
    assert psnr(pictures(), pictures()).tolist() == [100, 100]


def test_both_are_means_over_images_with_their_standard_error() -> None:
    images, others = pictures(50), pictures(50, seed=1)
    for found, values in (
        (psnr_db(psnr(images, others)), psnr(images, others)),
        (ssim_mean(ssim(images, others)), ssim(images, others)),
    ):
        assert found.value == pytest.approx(values.mean().item())
        assert found.standard_error == pytest.approx(values.std().item() / math.sqrt(50))
        assert found.n == 50


def test_both_get_worse_with_noise() -> None:
    images, noise = pictures(20), torch.randn(20, 1, 14, 17, generator=torch.Generator().manual_seed(3))
    for measure in (psnr, ssim):
        scores = [measure((images + strength * noise).clamp(0, 1), images).mean().item() for strength in (0.01, 0.1, 0.3)]
        assert scores[0] > scores[1] > scores[2]

"""What a likelihood is scored on: binary pixels whose means are the grey levels, and levels dequantized uniformly."""

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.families.vae import VAE, VAEConfig

N = 20_000
SPEC = DataSpec(1, 4, 4)
LEVELS = (torch.arange(16) * 17).view(1, *SPEC.shape) / 255  # 0, 17, ..., 255


def observations(settings: dict[str, object], seed: int = 0) -> Tensor:
    """Return N observations [n 16] of the sixteen levels."""
    model = VAE(VAEConfig.of({"network": "dense", "hidden": (4,), **settings}), SPEC)
    torch.manual_seed(seed)
    return model.observe(LEVELS.expand(N, *SPEC.shape)).flatten(1)


@pytest.fixture(scope="module")
def binary() -> Tensor:
    return observations({"binarize": True})


@pytest.fixture(scope="module")
def dequantized() -> Tensor:
    return observations({"likelihood": "gaussian"})


def test_binarized_pixels_are_zero_or_one_with_the_grey_levels_as_means(binary: Tensor) -> None:
    # exact binomial tests, 16 of 6e-8: 1e-6; detects a mean that is off by 8.5 * 0.5 / sqrt(n) = 0.03
    assert set(binary.unique().tolist()) == {0.0, 1.0}
    for pixel, level in zip(binary.double().T, LEVELS.flatten().tolist(), strict=True):
        assert scipy.stats.binomtest(int(pixel.sum().item()), N, level).pvalue > 6e-8


def test_black_and_white_pixels_are_never_flipped(binary: Tensor) -> None:
    assert not binary[:, 0].any()
    assert binary[:, -1].all()


def test_binarized_pixels_are_independent_of_each_other(binary: Tensor) -> None:
    # 91 correlations with a standard error of 1 / sqrt(n), threshold 6 (2e-9 each, 1.8e-7 in all); detects a correlation of
    # 0.064, so that one uniform number for a whole image (correlations up to 1) is seen at once
    correlations = torch.corrcoef(binary[:, 1:-1].double().T)
    assert correlations.triu(1).abs().max() * math.sqrt(N) < 6


def test_binarization_is_drawn_afresh_every_time(binary: Tensor) -> None:
    # dynamic: two draws of a pixel of mean 0.47 agree with probability 0.5018; the normal limit at |z| < 5.5 has 4e-8
    again = observations({"binarize": True}, seed=1)
    mean = LEVELS.flatten()[7].item()
    expected = mean**2 + (1 - mean) ** 2
    agreement = (binary[:, 7] == again[:, 7]).double().mean().item()
    assert abs(agreement - expected) / math.sqrt(expected * (1 - expected) / N) < 5.5


def test_dequantized_levels_stay_in_their_bin_of_one_256th(dequantized: Tensor) -> None:
    inside = dequantized.double() * 256 - LEVELS.flatten().double() * 255
    assert dequantized.min() >= 0
    assert dequantized.max() <= 1
    assert -1e-4 <= inside.min() <= inside.max() <= 1 + 1e-4  # float32 rounds at 2^-16 of a bin


def test_dequantization_is_uniform_within_the_bin(dequantized: Tensor) -> None:
    # Kolmogorov-Smirnov, 16 tests of 6e-8: 1e-6; detects a distribution function that is off by about 4.5 / sqrt(n) = 0.03
    inside = (dequantized.double() * 256 - LEVELS.flatten().double() * 255).clamp(0, 1)
    assert min(scipy.stats.kstest(inside[:, index].numpy(), "uniform").pvalue for index in range(16)) > 6e-8


def test_dequantization_noise_differs_between_pixels(dequantized: Tensor) -> None:
    # 120 correlations, threshold 6: 2.4e-7; detects a correlation of 0.064
    correlations = torch.corrcoef(dequantized.double().T)
    assert correlations.triu(1).abs().max() * math.sqrt(N) < 6


def test_what_needs_no_draw_is_scored_as_it_is() -> None:
    for likelihood in ("bernoulli", "logistic"):
        assert torch.equal(observations({"likelihood": likelihood})[0], LEVELS.flatten())

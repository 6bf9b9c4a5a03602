"""Statistical tests of dropout masks: uniform and independent in each of the eight bytes of a random number."""

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from simulacra.networks.kernels.dropout import Dropout, byte_mask

N = 400_000
Z = 5.5  # two-sided probability 3.8e-8


def mask(threshold: int, count: int = N, seed: int = 0) -> Tensor:
    """Return a mask as float64 [count]."""
    torch.manual_seed(seed)
    return byte_mask(torch.empty(count), threshold).double()


@pytest.mark.parametrize("p", [0.05, 0.25, 0.3, 0.5, 0.9])
def test_the_expectation_of_the_output_is_the_input(p: float) -> None:
    # 5 tests: 1.9e-7; detects a mean that is off by 8.5 sqrt(p / (1 - p) / n): 0.3 % at p = 0.05, 4 % at p = 0.9
    layer = Dropout(p)
    torch.manual_seed(1)
    mean = layer(torch.ones(N, dtype=torch.float64)).mean().item()
    assert abs(mean - 1) < Z * math.sqrt(layer.p / (1 - layer.p) / N)


@pytest.mark.parametrize("threshold", [1, 128, 255])
def test_each_of_the_eight_bytes_has_the_same_keep_probability(threshold: int) -> None:
    # 8 lanes x 3, six standard errors, skewed for 1 and 255: below 2e-7; detects 2 % at 128: the sign bit, which random_()
    # leaves at 0 by default, would move the eighth lane from 1/2 to 1
    lanes = mask(threshold).view(-1, 8)
    chance = threshold / 256
    scores = (lanes.mean(0) - chance) / math.sqrt(chance * (1 - chance) / len(lanes))
    assert scores.abs().max() < 6


def test_the_bytes_of_a_draw_are_uniform_over_all_values() -> None:
    # masks of one seed and every threshold give each byte's distribution; chi-square over 256 cells for each of 8 lanes: 8e-7;
    # detects a bit that is 1 in 55 % of all bytes (noncentrality 250)
    below = torch.stack([mask(threshold, count=200_000).view(-1, 8).sum(0) for threshold in range(1, 256)])
    ends = torch.zeros(1, 8, dtype=torch.float64)
    counts = torch.cat([ends, below, ends + 25_000]).diff(dim=0)
    assert scipy.stats.chisquare(counts.numpy(), axis=0).pvalue.min() > 1e-7


def test_neighbouring_values_are_dropped_independently() -> None:
    # correlations at 17 distances, within a draw and across draws, with a standard error of 1 / sqrt(n): 6.5e-7; detects 0.013
    values = mask(128) - 0.5
    correlations = torch.stack([(values[lag:] * values[:-lag]).mean() / 0.25 for lag in range(1, 18)])
    assert correlations.abs().max() * math.sqrt(N) < Z


def test_the_eight_bytes_of_a_draw_are_independent_in_pairs() -> None:
    # 28 pairs, standard error 1 / sqrt(n / 8); threshold 5.6 gives 6e-7; detects a correlation of 0.04
    lanes = mask(128).view(-1, 8)
    pairs = torch.corrcoef(lanes.T)[tuple(torch.triu_indices(8, 8, offset=1))]
    assert pairs.abs().max() * math.sqrt(len(lanes)) < 5.6


def test_masks_of_two_seeds_are_independent() -> None:
    # one correlation: 3.8e-8; detects 0.013
    assert abs(torch.corrcoef(torch.stack([mask(128), mask(128, seed=1)]))[0, 1]) * math.sqrt(N) < Z

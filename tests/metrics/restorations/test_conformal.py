"""Intervals from draws: the factor, coverage of exchangeable scores, and errors over images as clusters."""

import math

import numpy as np
import pytest
import torch

from simulacra.core.errors import UsageError
from simulacra.metrics.restorations.conformal import (
    LEAST_DEVIATION,
    conformal_factor,
    counted,
    interval,
    mean_and_deviation,
    normal_factor,
    pooled_mean,
    scores,
)

QUANTILE = 4.9  # of the standard normal distribution: two-sided false-positive rate 1e-6


def test_mean_and_deviation_are_those_of_the_draws():
    draws = torch.from_numpy(np.random.default_rng(0).random((3, 7, 2, 4, 5), dtype=np.float32))
    mean, deviation = mean_and_deviation(draws)
    np.testing.assert_allclose(mean, draws.double().mean(1), rtol=1e-6)
    np.testing.assert_allclose(deviation, draws.double().std(1), rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 16])
def test_equal_draws_have_exactly_their_value_and_no_deviation(count):
    image = torch.rand(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    mean, deviation = mean_and_deviation(image.expand(2, count, 1, 4, 4))
    assert torch.equal(mean, image[:, 0])
    assert not deviation.any()


def test_hidden_values_with_a_large_deviation_count():
    deviation = torch.tensor([0.0, LEAST_DEVIATION, 0.06, 0.4]).reshape(1, 1, 1, 4).repeat(1, 2, 2, 1)
    known = torch.tensor([[False] * 4, [True] * 4]).reshape(1, 1, 2, 4)
    found = counted(deviation, known)
    assert found[0, :, 0].tolist() == [[False, False, True, True]] * 2
    assert not found[0, :, 1].any()


@pytest.mark.parametrize(("count", "level", "rank"), [(9, 0.5, 5), (9, 0.9, 9), (99, 0.9, 90), (10, 0.9, 10), (20, 0.9, 19)])
def test_the_factor_is_the_split_conformal_quantile(count, level, rank):
    values = torch.randperm(count, generator=torch.Generator().manual_seed(0)) + 1.0
    assert conformal_factor(values, level) == rank


def test_too_few_scores_for_a_level_are_refused_with_the_number_that_is_needed():
    with pytest.raises(UsageError, match="at least 9 are needed"):
        conformal_factor(torch.ones(8), 0.9)
    with pytest.raises(UsageError, match="at least 1 are needed"):
        conformal_factor(torch.ones(0), 0.5)


def test_intervals_are_clipped_and_hold_what_has_a_score_below_the_factor():
    random = np.random.default_rng(1)
    truth, mean = (torch.from_numpy(random.random((50, 1, 3, 3), dtype=np.float32)) for _ in range(2))
    deviation = torch.from_numpy(random.uniform(0.05, 0.5, (50, 1, 3, 3)).astype(np.float32))
    lower, upper = interval(mean, deviation, 1.5)
    assert lower.min() >= 0
    assert upper.max() <= 1
    inside = (truth >= lower) & (truth <= upper)
    assert torch.equal(inside, scores(truth, mean, deviation) <= 1.5)


def test_the_factor_without_calibration_covers_a_gaussian():
    for level in (0.5, 0.9, 0.99):
        assert math.erf(normal_factor(level) / math.sqrt(2)) == pytest.approx(level, rel=1e-12)


def test_coverage_of_exchangeable_scores_is_the_level():
    """Mean coverage of one new score over 4,000 calibrations of n = 39: exactly 36 / 40 = 0.9 for distinct exchangeable scores.

    Seed 0; false-positive rate 1e-6; a coverage that differs by 0.024 or more is detected with probability 1/2.
    """
    random = np.random.default_rng(0)
    trials, count = 4000, 39
    values = random.gamma(2, 1, (trials, count + 1)) * random.uniform(0.5, 2, (trials, 1))  # a scale for each trial: exchangeable
    hits = [row[-1] <= conformal_factor(torch.from_numpy(row[:-1]), 0.9) for row in values]
    assert abs(np.mean(hits) - 0.9) < QUANTILE * math.sqrt(0.9 * 0.1 / trials)


def _clusters(seed, images, values=60):
    """Return scores of images whose values share a scale, so that they are dependent: float64 [images values]."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(np.abs(random.normal(size=(images, values))) * random.uniform(0.3, 2, (images, 1)))


def test_coverage_of_new_images_is_the_level_within_the_error_of_both_sets_of_images():
    """The values of an image are dependent. Seeds 0 and 1, 500 images each; false-positive rate 1e-6.

    The smallest deviation of the coverage that is detected with probability 1/2 is about 0.05.
    """
    calibration, test = _clusters(0, 500), _clusters(1, 500)
    factor = conformal_factor(calibration.flatten(), 0.9)
    sizes = torch.full((500,), 60)
    found = [pooled_mean((part <= factor).sum(1), sizes, {}) for part in (calibration, test)]
    error = math.hypot(*(item.standard_error or 0 for item in found))
    assert abs(found[1].value - 0.9) < QUANTILE * error
    independent = math.sqrt(0.9 * 0.1 / test.numel())
    assert found[1].standard_error is not None
    assert found[1].standard_error > 2 * independent  # clusters matter


def test_the_error_of_a_pooled_mean_is_that_of_means_for_clusters_of_equal_size():
    sums = torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0])
    found = pooled_mean(sums, torch.full((5,), 10), {"unit": "values"})
    means = sums.double() / 10
    assert found.value == pytest.approx(means.mean().item(), rel=1e-12)
    assert found.standard_error == pytest.approx(means.std().item() / math.sqrt(5), rel=1e-12)
    assert (found.n, found.protocol) == (5, {"unit": "values"})


def test_images_without_a_counted_value_do_not_change_a_pooled_mean():
    some = pooled_mean(torch.tensor([3, 4, 9]), torch.tensor([5, 5, 20]), {})
    more = pooled_mean(torch.tensor([3, 0, 4, 9, 0]), torch.tensor([5, 0, 5, 20, 0]), {})
    assert some == more
    assert some.value == 16 / 30
    with pytest.raises(UsageError, match="the draws agree everywhere"):
        pooled_mean(torch.zeros(3), torch.zeros(3), {})


def test_the_error_of_a_pooled_mean_agrees_with_repeated_samples():
    """Standard deviation of 2,000 pooled means against their estimated error, clusters of unequal size; seed 2.

    The relative error of a standard deviation of 2,000 values is 1.6 %; 10 % has a false-positive rate below 1e-6.
    """
    random = np.random.default_rng(2)
    values, errors = [], []
    for _ in range(2000):
        counts = torch.from_numpy(random.integers(1, 40, 100))
        shares = random.beta(2, 1, 100)
        found = pooled_mean(torch.from_numpy(random.binomial(counts.numpy(), shares)), counts, {})
        values.append(found.value)
        errors.append(found.standard_error or 0.0)
    assert np.std(values) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.1)

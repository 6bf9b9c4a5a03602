"""Nearest training images, and how different images are: closed forms, brute force, copies and collapses."""

import math

import numpy as np
import pytest
import torch
from tests.conftest import Count
from torch import Tensor

from simulacra.core.errors import DataError, UsageError
from simulacra.metrics.diversity import diversity, mean_pairwise_distance
from simulacra.metrics.statistics.nearest_training import memorization


def draws(count: int, dimensions: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def test_the_nearest_training_images_are_those_of_brute_force_in_blocks_of_any_size(meter: Count) -> None:
    generated, train, held_out = draws(120), draws(300, seed=1), draws(150, seed=2)
    found = memorization(generated, train, held_out, 0, meter)
    assert meter.done == 120 + 150
    distances = torch.cdist(generated.double(), train.double())
    assert (found.positions == distances.argmin(1)).all()
    torch.testing.assert_close(found.distances, distances.min(1).values)
    assert found.closest(3).tolist() == distances.min(1).values.argsort()[:3].tolist()
    expected = distances.min(1).values.quantile(0.5) / torch.cdist(held_out.double(), train.double()).min(1).values.quantile(0.5)
    assert found.nearest_train_ratio.value == pytest.approx(expected.item())
    for block in (1, 1000):
        again = memorization(generated, train, held_out, 0, meter, block=block)
        assert again.nearest_train_ratio == found.nearest_train_ratio
        assert (again.positions == found.positions).all()


def test_copies_are_at_distance_zero_and_all_are_flagged(meter: Count) -> None:
    train = draws(500)
    found = memorization(train[:200], train, draws(200, seed=2), 0, meter)
    assert found.nearest_train_ratio.value == 0
    assert found.copies.all()
    assert found.nearest_train_ratio.protocol["nearer"] == 1
    assert (found.positions == torch.arange(200)).all()


def test_a_few_copies_move_no_median_but_are_flagged_one_by_one(meter: Count) -> None:
    train, generated = draws(500), draws(200, seed=1)
    generated[:20] = train[40:60] + 0.01 * draws(20, seed=3)
    found = memorization(generated, train, draws(500, seed=2), 0, meter)
    assert 0.9 < found.nearest_train_ratio.value < 1.1
    assert found.copies[:20].all()
    assert set(found.closest(20).tolist()) == set(range(20))
    assert 0.1 <= found.nearest_train_ratio.protocol["copies"] < 0.15


def test_new_images_of_the_same_kind_are_as_far_as_held_out_ones(meter: Count) -> None:
    found = memorization(draws(1000), draws(1000, seed=1), draws(1000, seed=2), 0, meter).nearest_train_ratio
    low, high = found.table()["interval"]
    assert low < 1 < high
    assert found.protocol["copies"] < 0.03
    assert found.protocol["nearer"] == pytest.approx(0.5, abs=0.05)
    assert "few_samples" not in found.protocol


def test_images_unlike_any_are_above_one(meter: Count) -> None:
    assert memorization(3 * draws(200), draws(500, seed=1), draws(200, seed=2), 0, meter).nearest_train_ratio.value > 1.5


def test_the_interval_is_a_function_of_the_seed(meter: Count) -> None:
    # trap 19, for the bootstrap
    rows = [draws(150, seed=seed) for seed in range(3)]
    first, again, other = (memorization(rows[0], rows[1], rows[2], seed, meter).nearest_train_ratio for seed in (0, 0, 1))
    assert first == again
    assert first.interval != other.interval


def test_the_interval_is_that_of_resampled_distances(meter: Count) -> None:
    # against resamples that are really drawn; the ends of 10,000 have a standard error of about 2 % of the interval's width
    found = memorization(draws(301), draws(400, seed=1), draws(251, seed=2), 0, meter)
    random = np.random.default_rng(1)
    sides = [values.numpy() for values in (found.distances, found.held_out_distances)]
    drawn = [np.median(random.choice(values, (10_000, len(values))), axis=1) for values in sides]
    low, high = np.quantile(drawn[0] / drawn[1], (0.025, 0.975))
    assert found.nearest_train_ratio.interval == pytest.approx((low, high), abs=0.1 * (high - low))


def test_held_out_images_that_were_trained_on_are_refused_and_few_are_flagged(meter: Count) -> None:
    train = draws(500)
    with pytest.raises(DataError, match="held-out"):
        memorization(draws(200, seed=1), train, train[:200], 0, meter)
    with pytest.raises(UsageError, match=r"99 .* 100"):
        memorization(draws(200, seed=1), train, draws(99, seed=2), 0, meter)
    assert "few_samples" in memorization(draws(200, seed=1), train, draws(200, seed=2), 0, meter).nearest_train_ratio.protocol


def test_the_mean_pairwise_distance_is_that_of_brute_force_in_blocks_of_any_size(meter: Count) -> None:
    rows = draws(130) * 3 + 50
    expected = torch.pdist(rows.double()).mean().item()
    for block in (1, 1000, 2**24):
        assert mean_pairwise_distance(rows, meter, block=block).value == pytest.approx(expected, rel=1e-6)


def test_normal_images_have_the_mean_distance_of_the_closed_form(meter: Count) -> None:
    # E|x - y| = 2 gamma((d + 1) / 2) / gamma(d / 2) for standard normal x, y
    expected = 2 * math.exp(math.lgamma(4.5) - math.lgamma(4))
    found = mean_pairwise_distance(draws(5000), meter)
    assert found.standard_error is not None
    assert abs(found.value - expected) < 5 * found.standard_error
    assert found.standard_error < 0.01 * expected


def test_a_collapsed_generator_has_no_diversity_and_one_with_two_images_half_of_their_distance(meter: Count) -> None:
    reference = draws(200)
    assert diversity(reference[:1].expand(200, -1), reference, meter).value == 0
    # two images, a hundred times each: of 199 partners of an image, 100 are the other one
    two = reference[:2].repeat(100, 1)
    distance = (reference[0].double() - reference[1].double()).norm().item()
    assert mean_pairwise_distance(two, meter).value == pytest.approx(distance * 100 / 199, rel=1e-3)


def test_diversity_is_one_for_real_images_and_scales_with_them(meter: Count) -> None:
    generated, reference = draws(500), draws(600, seed=1)
    found = diversity(generated, reference, meter)
    assert meter.done == 1100
    assert found.value == pytest.approx(1, abs=0.05)
    assert diversity(2 * generated, 2 * reference, meter).value == pytest.approx(found.value, rel=1e-5)
    assert diversity(generated / 2, reference, meter).value == pytest.approx(found.value / 2, rel=1e-5)


def test_diversity_refuses_constant_features_and_a_handful_of_images(meter: Count) -> None:
    with pytest.raises(DataError, match="equal"):
        diversity(draws(20), torch.ones(20, 8), meter)
    with pytest.raises(UsageError, match=r"9 .* 10"):
        diversity(draws(9), draws(20), meter)

"""Moments of features: of any chunks the same, mergeable, stable, and with blocks that can be taken away again."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.metrics.statistics.moments import BLOCKS, BlockedMoments, Moments, blocked_moments, moments


def features(count: int, dimensions: int = 4, offset: float = 0.0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(0)) + offset


def assert_same(found: Moments, expected: Moments, tolerance: float = 1e-12) -> None:
    assert found.count == expected.count
    torch.testing.assert_close(found.mean, expected.mean, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found.covariance, expected.covariance, rtol=tolerance, atol=tolerance)


def test_mean_and_covariance_are_numpys() -> None:
    rows = features(50)
    found = blocked_moments(rows).total()
    np.testing.assert_allclose(found.mean, rows.double().numpy().mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(rows.double().numpy().T), rtol=1e-12, atol=1e-14)


@pytest.mark.long
@given(st.lists(st.integers(1, 700), min_size=1, max_size=8))
def test_chunks_of_any_size_give_the_same_blocks(sizes: list[int]) -> None:
    rows = features(sum(sizes))
    whole, pieced = BlockedMoments(4), blocked_moments(rows.split(sizes))
    whole.add(rows)
    for found, expected in zip(pieced.blocks, whole.blocks, strict=True):
        assert_same(found, expected)


def test_blocks_stay_the_same_beyond_the_positions_that_are_drawn_together() -> None:
    rows = features(50_001, 1)
    whole, pieced = BlockedMoments(1), blocked_moments(rows.split(19_999))
    whole.add(rows)
    for found, expected in zip(pieced.blocks, whole.blocks, strict=True):
        assert_same(found, expected)


@pytest.mark.parametrize("count", [100, 20_010])
def test_blocks_have_equal_sizes_but_for_one_row(count: int) -> None:
    sizes = [block.count for block in blocked_moments(features(count, 1)).blocks]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1


def test_every_block_sees_every_class_of_images_that_come_sorted_or_in_turn() -> None:
    # consecutive blocks of sorted classes, or every twentieth of classes in turn, would be of one class each
    for labels in (torch.arange(2000) % 20, torch.arange(2000) // 100):
        taken = blocked_moments(torch.nn.functional.one_hot(labels, 20).float())
        assert all((block.mean > 0).sum() > 15 for block in taken.blocks)


def test_merging_is_the_moments_of_both() -> None:
    first, second = features(30), features(50, offset=3.0)
    assert_same(moments(first).merged(moments(second)), moments(torch.cat([first, second])))


def test_a_block_can_be_taken_away() -> None:
    rows = features(400, offset=5.0)
    taken = blocked_moments(rows)
    rest = taken.total().without(taken.blocks[3])
    others = taken.blocks[0]
    for number in set(range(1, BLOCKS)) - {3}:
        others = others.merged(taken.blocks[number])
    assert_same(rest, others, 1e-11)


def test_a_mean_a_million_times_the_spread_costs_no_digits() -> None:
    # the textbook E[x^2] - E[x]^2 loses all sixteen here
    rows = features(1000).double() + 1e6
    found = blocked_moments(rows.split(7)).total()
    np.testing.assert_allclose(found.covariance, np.cov((rows - 1e6).numpy().T), rtol=1e-7, atol=1e-9)


def test_features_that_are_no_finite_matrix_are_refused_by_row() -> None:
    broken = features(10)
    broken[7, 1] = torch.nan
    with pytest.raises(DataError, match="image 7 "):
        blocked_moments(broken)
    with pytest.raises(DataError, match=r"float32 \[3\]"):
        BlockedMoments(3).add(torch.zeros(3))
    with pytest.raises(DataError, match=r"5 .* 4"):
        BlockedMoments(4).add(torch.zeros(2, 5))
    with pytest.raises(DataError, match="no features"):
        blocked_moments([])

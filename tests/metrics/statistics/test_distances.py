"""Blocked distances against float64 differences: how exact they are, and that blocks change nothing."""

import pytest
import torch
from tests.conftest import Count
from torch import Tensor

from simulacra.metrics.statistics.distances import Cloud, blocks, clouds, nearest, rounding, squares, within


def draws(count: int, dimensions: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def true_distances(first: Tensor, second: Tensor) -> Tensor:
    return (first.double()[:, None] - second.double()).square().sum(2).sqrt()


@pytest.mark.parametrize("dimensions", [1, 16, 128, 2048])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_squares_are_within_the_bound_of_their_rounding(dimensions: int, offset: float) -> None:
    # with a large common offset they would be noise without the centre: 100^2 * 2048 has an error of 1 in float32
    first, second = draws(60, dimensions) + offset, draws(80, dimensions, 1) * 3 + offset
    queries, references = clouds(first, second)
    errors = (squares(queries, references) - true_distances(first, second) ** 2).abs()
    assert (errors <= rounding(queries, references)).all()
    # and the bound is no more than 100 times what is seen, so that few pairs are in doubt
    assert rounding(queries, references).mean() < 100 * errors.max()


def test_what_points_have_in_common_costs_no_digits() -> None:
    # without a common centre, 100^2 * 128 = 1.3e6 would be known to 0.1 only
    first, second = draws(60, 128) + 100, draws(80, 128, 1) + 100
    assert (squares(*clouds(first, second)) - true_distances(first, second) ** 2).abs().max() < 2e-3


def test_equal_points_are_at_distance_zero_and_no_square_is_negative() -> None:
    rows = draws(50, 64) * 1000
    queries, references = clouds(rows, rows)
    assert (squares(queries, references) >= 0).all()
    distances, positions = nearest(queries, references, 1, Count())
    assert (distances == 0).all()
    assert (positions[:, 0] == torch.arange(50)).all()


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("block", [1, 1000, 2**24])
def test_nearest_neighbours_are_those_of_brute_force_in_blocks_of_any_size(same: bool, block: int, meter: Count) -> None:
    references = draws(90, 20)
    queries = references if same else draws(70, 20, 1)
    first, second = clouds(queries, references)
    expected = true_distances(queries, references)
    if same:
        expected.fill_diagonal_(torch.inf)
    values, order = expected.sort(1)
    distances, positions = nearest(first, second, 4, meter, same=same, block=block)
    assert meter.done == len(queries)
    assert (positions == order[:, :4]).all()
    torch.testing.assert_close(distances, values[:, :4], rtol=1e-5, atol=0)


def test_neighbours_that_float32_cannot_tell_apart_are_put_in_order() -> None:
    # 1 +- 1e-6 and 1 are equal for squares; their distances are taken from differences
    references = torch.tensor([[1.0 - 2**-19], [1.0 + 2**-20], [1.0], [2000.0], [3000.0], [4000.0]])
    queries, known = (Cloud(rows, rows, rows[:, 0] ** 2) for rows in (torch.ones(1, 1), references))
    distances, positions = nearest(queries, known, 2, Count())
    assert positions.tolist() == [[2, 1]]
    assert distances.tolist() == [[0, 2**-20]]


def test_there_may_be_as_many_neighbours_as_points() -> None:
    rows = draws(5, 3)
    queries, references = clouds(rows, rows)
    assert nearest(queries, references, 4, Count(), same=True)[0].isfinite().all()


@pytest.mark.parametrize("decimals", [0, 6])
def test_what_is_within_a_limit_is_decided_as_in_float64(decimals: int) -> None:
    # limits that are exactly some of the distances, on a lattice where very many pairs lie at the limit
    rows = (draws(200, 3) * 3).round(decimals=decimals)
    queries, references = clouds(rows, rows)
    true = true_distances(rows, rows)
    limits = true[torch.arange(200), torch.arange(200).roll(1)]
    found = squares(queries, references)
    assert (within(queries, references, found, limits) == (true <= limits)).all()
    assert (within(queries, references, found, limits[:, None]) == (true <= limits[:, None])).all()


def test_blocks_hold_every_row_once_and_at_least_one_row_each() -> None:
    queries, _ = clouds(draws(10, 2), draws(10, 2))
    for size in (1, 30, 1000):
        parts = [(start, len(part)) for start, part in blocks(queries, 10, size)]
        assert sum(length for _, length in parts) == 10
        assert all(length == max(size // 10, 1) or start + length == 10 for start, length in parts)

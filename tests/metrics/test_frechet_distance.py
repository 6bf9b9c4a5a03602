"""The Fréchet distance against closed forms, in singular cases (trap 18), and what it says of few samples (trap 17)."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Count
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.metrics.statistics.frechet import REPLICATES, expected_at_equality, frechet, frechet_distance, frechet_floor
from simulacra.metrics.statistics.moments import Moments, blocked_moments, moments


def normal(mean: Tensor, covariance: Tensor) -> Moments:
    """Return the moments of a law, exactly."""
    count = 10**6
    return Moments(count, mean.double(), covariance.double() * (count - 1))


def draws(count: int, dimensions: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def covariance(dimensions: int, rank: int, seed: int) -> Tensor:
    factor = draws(dimensions, rank, seed).double()
    return factor @ factor.T


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 5), st.floats(0, 5))
def test_in_one_dimension_it_is_the_squared_differences_of_means_and_of_deviations(
    m: float, n: float, s: float, t: float
) -> None:
    exact = torch.tensor([m, n, s, t], dtype=torch.float64)
    first, second = normal(exact[:1], exact[2].square().view(1, 1)), normal(exact[1:2], exact[3].square().view(1, 1))
    assert frechet(first, second) == pytest.approx((m - n) ** 2 + (s - t) ** 2, abs=1e-6)


def test_covariances_that_commute_have_the_distance_of_their_roots() -> None:
    # in any common basis: sum_i (sqrt(a_i) - sqrt(b_i))^2
    basis = torch.linalg.qr(draws(6, 6).double()).Q
    a, b = torch.arange(1, 7).double(), torch.tensor([9, 0, 4, 1, 25, 0]).double()
    first, second = (normal(torch.zeros(6), basis * values @ basis.T) for values in (a, b))
    assert frechet(first, second) == pytest.approx(((a.sqrt() - b.sqrt()) ** 2).sum().item(), abs=1e-6)


def test_two_by_two_it_has_a_closed_form() -> None:
    # tr (S1 S2)^1/2 = sqrt(tr(S1 S2) + 2 sqrt(det(S1 S2))), which neither commutes nor is diagonal here
    a, b = torch.tensor([[2.0, 1.0], [1.0, 3.0]]).double(), torch.tensor([[5.0, -2.0], [-2.0, 1.0]]).double()
    product = a @ b
    root = math.sqrt(product.trace() + 2 * math.sqrt(torch.linalg.det(product)))
    expected = 1 + 4 + a.trace().item() + b.trace().item() - 2 * root
    assert frechet(normal(torch.tensor([1.0, 0.0]), a), normal(torch.tensor([0.0, 2.0]), b)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("first", "second"), [(30, 30), (30, 5), (5, 5), (1, 30), (0, 30)])
def test_the_trace_is_that_of_scipys_matrix_root_or_of_singular_values_where_it_is_singular(first: int, second: int) -> None:
    # the sum of singular values of A^T B is tr (AA^T BB^T)^1/2 for any factors, so a reference without any matrix root
    a, b = draws(30, first, 1).double(), draws(30, second, 2).double()
    root = torch.linalg.svdvals(a.T @ b).sum().item() if first else 0.0
    expected = (a**2).sum().item() + (b**2).sum().item() - 2 * root
    found = frechet(normal(torch.zeros(30), a @ a.T), normal(torch.zeros(30), b @ b.T))
    assert found == pytest.approx(expected, rel=1e-6)
    if first == second == 30:
        matrix = scipy.linalg.sqrtm((a @ a.T @ b @ b.T).numpy())
        assert root == pytest.approx(np.trace(matrix).real, rel=1e-9)


@pytest.mark.parametrize(("count", "rank"), [(500, 40), (20, 40), (500, 3), (2, 40)])
def test_a_set_is_at_no_distance_from_itself_even_with_fewer_rows_than_dimensions(count: int, rank: int) -> None:
    rows = draws(count, rank) @ draws(rank, 40, 1)
    found = frechet(moments(rows), moments(rows.flip(0)))
    assert 0 <= found < 1e-6 * moments(rows).covariance.trace().item()


def test_it_is_symmetric_and_does_not_change_when_both_are_turned_and_moved() -> None:
    first, second = draws(200, 10), draws(300, 10, 1) @ draws(10, 10, 2)
    turned = torch.linalg.qr(draws(10, 10, 3).double()).Q
    one = frechet(moments(first), moments(second))
    assert frechet(moments(second), moments(first)) == pytest.approx(one, rel=1e-9)
    assert frechet(moments(first.double() @ turned + 7), moments(second.double() @ turned + 7)) == pytest.approx(one, rel=1e-9)


def test_dead_and_huge_features_do_no_harm() -> None:
    # features behind a ReLU are often zero for every image
    rows, others = draws(300, 6), draws(300, 6, 1) * 2
    expected = frechet(moments(rows), moments(others))
    dead = torch.zeros(300, 4)
    assert frechet(moments(torch.cat([rows, dead], 1)), moments(torch.cat([others, dead], 1))) == pytest.approx(
        expected, rel=1e-6
    )
    assert frechet(moments(rows * 1e5), moments(others * 1e5)) == pytest.approx(expected * 1e10, rel=1e-6)


def test_at_equality_of_the_identity_the_expected_number_is_that_of_the_formula() -> None:
    assert expected_at_equality(torch.eye(8), 100, 400) == pytest.approx((1 / 100 + 1 / 400) * (8 + 8 * 9 / 4))
    singular = torch.diag(torch.tensor([1.0] * 8 + [0.0] * 5))
    assert expected_at_equality(singular, 100, 400) == pytest.approx(expected_at_equality(torch.eye(8), 100, 400))


def test_a_measurement_names_its_counts_its_bias_and_where_its_error_comes_from(meter: Count) -> None:
    found = frechet_distance(blocked_moments(draws(500, 8)), blocked_moments(draws(400, 8, 1) + 1), meter)
    assert meter.done == REPLICATES
    assert found.n == 500
    assert found.protocol["reference_n"] == 400
    assert found.protocol["extrapolated"] == pytest.approx(found.value - found.protocol["bias"])
    assert "few_samples" not in found.protocol
    assert found.standard_error is not None
    assert set(found.table()) == {"value", "standard_error", "n", "protocol"}


def test_few_samples_are_flagged_with_what_they_add_and_too_few_refused(meter: Count) -> None:
    # trap 17
    few = frechet_distance(blocked_moments(draws(300, 40)), blocked_moments(draws(300, 40, 1)), meter)
    assert few.protocol["few_samples"].startswith("300 of 400: too large by about")
    for count, dimensions, needed in ((99, 2, 100), (200, 300, 301)):
        with pytest.raises(UsageError, match=f"{count} .* {needed} "):
            frechet_distance(blocked_moments(draws(count, dimensions)), blocked_moments(draws(500, dimensions)), meter)
    with pytest.raises(UsageError, match="dimensions"):
        frechet_distance(blocked_moments(draws(200, 3)), blocked_moments(draws(200, 4)), meter)


def test_chunks_do_not_change_the_measurement(meter: Count) -> None:
    rows, reference = draws(700, 12), blocked_moments(draws(600, 12, 1) * 1.3)
    found = [frechet_distance(blocked_moments(rows.split(size)), reference, meter) for size in (700, 64, 1)]
    for other in found[1:]:
        assert other.value == pytest.approx(found[0].value, rel=1e-10)
        assert other.standard_error == pytest.approx(found[0].standard_error, rel=1e-6)


def test_the_floor_takes_as_many_training_images_as_were_generated_and_always_the_same(meter: Count) -> None:
    train, test = draws(2000, 5), blocked_moments(draws(400, 5, 1))
    first, again, other = (frechet_floor(train, test, 400, seed, meter) for seed in (0, 0, 1))
    assert first == again
    assert first.value != other.value
    assert first.n == 400
    with pytest.raises(UsageError, match=r"3,000 .* 2,000"):
        frechet_floor(train, test, 3000, 0, meter)

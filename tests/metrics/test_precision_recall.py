"""Precision, recall, density and coverage against brute force and in cases that can be counted by hand."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.conftest import Count
from torch import Tensor

from simulacra.core.errors import DataError, UsageError
from simulacra.metrics.statistics.half_samples import SPLITS, halves, mean_count_interval, share_interval
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.metrics.statistics.neighbourhoods import expected_coverage, neighbourhoods, with_floors

NAMES = ("precision", "recall", "density", "coverage")


def draws(count: int, dimensions: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def values(measured: Mapping[str, Measurement]) -> list[float]:
    return [measured[name].value for name in NAMES]


def brute(generated: Tensor, reference: Tensor, k: int) -> list[float]:
    """The definitions, one pair after the other, in float64."""
    fake, real = generated.double().numpy(), reference.double().numpy()

    def radii(points: NDArray[np.float64]) -> list[float]:
        others = [sorted(float(np.linalg.norm(x - y)) for j, y in enumerate(points) if j != i) for i, x in enumerate(points)]
        return [distances[k - 1] for distances in others]

    fake_radii, real_radii = radii(fake), radii(real)
    precise = [any(np.linalg.norm(x - y) <= r for x, r in zip(real, real_radii, strict=True)) for y in fake]
    recalled = [any(np.linalg.norm(x - y) <= r for y, r in zip(fake, fake_radii, strict=True)) for x in real]
    holders = [sum(np.linalg.norm(x - y) <= r for x, r in zip(real, real_radii, strict=True)) for y in fake]
    covered = [any(np.linalg.norm(x - y) <= r for y in fake) for x, r in zip(real, real_radii, strict=True)]
    return [float(np.mean(np.array(counts))) for counts in (precise, recalled, np.array(holders) / k, covered)]


@pytest.mark.parametrize(("m", "n", "k"), [(100, 120, 5), (90, 60, 3)])
@pytest.mark.parametrize("lattice", [False, True])
def test_they_are_what_brute_force_counts_also_where_many_distances_are_equal(
    m: int, n: int, k: int, lattice: bool, meter: Count
) -> None:
    # on the lattice, many points lie exactly on the border of a ball, which belongs to it
    generated, reference = draws(m) * 0.9 + 0.3, draws(n, seed=1)
    if lattice:
        generated, reference = (generated * 1.5).round(), (reference * 1.5).round()
    found = neighbourhoods(generated, reference, meter, neighbours=k)
    assert meter.done == 2 * (m + n)
    assert values(found) == pytest.approx(brute(generated, reference, k), abs=1e-12)


@pytest.mark.long
def test_blocks_do_not_change_a_single_count(meter: Count) -> None:
    generated, reference = draws(300) + 0.5, draws(250, seed=1)
    whole = values(neighbourhoods(generated, reference, meter))
    for block in (1, 777, 20_000):
        assert values(neighbourhoods(generated, reference, meter, block=block)) == whole


def test_a_set_against_itself_is_precise_recalled_and_covered_and_every_ball_holds_k_and_its_own_centre(meter: Count) -> None:
    rows = draws(150)
    assert values(neighbourhoods(rows, rows, meter)) == pytest.approx([1, 1, (5 + 1) / 5, 1])


def test_sets_far_apart_share_nothing(meter: Count) -> None:
    assert values(neighbourhoods(draws(150), draws(150, seed=1) + 100, meter)) == [0, 0, 0, 0]


def test_a_collapsed_generator_is_precise_but_neither_recalled_nor_covering(meter: Count) -> None:
    reference = draws(400)
    collapsed = reference[:1] + 1e-3 * draws(400, seed=1)
    precision, recall, density, coverage = values(neighbourhoods(collapsed, reference, meter))
    assert precision == 1
    assert density > 0.9
    assert recall < 0.01
    assert coverage < 0.05


def test_one_point_many_times_is_counted_without_error(meter: Count) -> None:
    # every radius is 0, and every pair lies on a border
    rows = torch.full((150, 3), 0.1)
    assert values(neighbourhoods(rows, rows, meter)) == [1, 1, 150 / 5, 1]
    assert values(neighbourhoods(rows, draws(150, 3) + 5, meter))[1] == 0


def test_one_real_outlier_spoils_precision_but_hardly_density(meter: Count) -> None:
    # Naeem et al. 2020, figure 1: its ball reaches over everything
    reference = draws(200)
    reference[0] += 30
    precision, _, density, _ = values(neighbourhoods(draws(200, seed=1) + 12, reference, meter))
    assert precision > 0.9
    assert density < 0.25


def test_the_expected_coverage_is_a_count_of_orders() -> None:
    # M = 1, k = 1: one generated point is the nearest of N others with probability 1 / N
    assert expected_coverage(50, 1, 1) == pytest.approx(1 / 50)
    # M to infinity covers all; no generated image none
    assert expected_coverage(100, 10**9, 5) == pytest.approx(1)
    assert expected_coverage(100, 0, 5) == 0


def test_every_number_has_an_interval_over_both_sets(meter: Count) -> None:
    found = neighbourhoods(draws(200), draws(300, seed=1), meter)
    assert set(found) == set(NAMES)
    for name in NAMES:
        low, high = found[name].table()["interval"]
        assert 0 <= low <= found[name].value <= high
        assert high <= 1 or name == "density"
    assert [found[name].n for name in NAMES] == [200, 300, 200, 300]
    assert found["recall"].protocol["error"] == "both sets, 20 half samples"
    assert all("200 of 10,000" in found[name].protocol["few_samples"] for name in NAMES)


def test_the_halves_of_the_error_are_compared_as_their_own_sets(meter: Count) -> None:
    generated, reference = draws(220) * 0.8 + 0.3, draws(260, seed=1)
    pairs: dict[str, list[float]] = {name: [] for name in NAMES}
    fakes, reals = halves(220).bool(), halves(260).bool()
    for column in range(2 * SPLITS):
        found = brute_values(generated[fakes[:, column]], reference[reals[:, column]])
        for name in NAMES:
            pairs[name].append(found[name])
    measured = neighbourhoods(generated, reference, meter)
    for name in NAMES:
        item, halved = measured[name], torch.tensor(pairs[name])
        share = share_interval(item.value, item.n, halved)
        expected = share if name != "density" else mean_count_interval(item.value, halved)
        assert measured[name].bounds == pytest.approx(expected, rel=1e-6)


def brute_values(generated: Tensor, reference: Tensor, k: int = 5) -> dict[str, float]:
    """The definitions, by matrices of all distances in float64."""
    fake, real = generated.double(), reference.double()
    fake_radii, real_radii = (torch.cdist(rows, rows).sort(1).values[:, k] for rows in (fake, real))
    distances = torch.cdist(fake, real)
    in_real = distances <= real_radii
    in_fake = distances <= fake_radii[:, None]
    return {
        "precision": in_real.any(1).double().mean().item(),
        "recall": in_fake.any(0).double().mean().item(),
        "density": in_real.sum(1).double().mean().item() / k,
        "coverage": in_real.any(0).double().mean().item(),
    }


def test_floors_stand_beside_the_numbers(meter: Count) -> None:
    measured = neighbourhoods(draws(200) + 1, draws(200, seed=1), meter)
    floors = neighbourhoods(draws(200, seed=2), draws(200, seed=1), meter)
    together = with_floors(measured, floors)
    for name in NAMES:
        assert together[name].value == measured[name].value
        assert together[name].protocol["real_against_real"] == floors[name].value


def test_what_cannot_be_compared_is_refused(meter: Count) -> None:
    with pytest.raises(UsageError, match=r"99 .* 100"):
        neighbourhoods(draws(99), draws(200), meter)
    with pytest.raises(UsageError, match="dimensions"):
        neighbourhoods(draws(200, 3), draws(200, 4), meter)
    with pytest.raises(DataError, match="image 5 "):
        neighbourhoods(draws(200).index_fill(0, torch.tensor([5]), torch.inf), draws(200), meter)

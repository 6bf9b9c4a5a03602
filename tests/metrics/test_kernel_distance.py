"""The kernel distance against a triple loop, and the seeds of its subsets (trap 19)."""

import itertools

import numpy as np
import pytest
import torch
from tests.conftest import Count
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.metrics.statistics import kernel
from simulacra.metrics.statistics.kernel import discrepancy, kernel_distance


def draws(count: int, dimensions: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def loops(first: np.ndarray, second: np.ndarray) -> float:
    """Gretton et al. 2012, eq. 3, with the kernel of Binkowski et al. 2018, one number after the other."""

    def cubic(x: np.ndarray, y: np.ndarray) -> float:
        total = 0.0
        for a, b in zip(x, y, strict=True):
            total += a * b
        return (total / len(x) + 1) ** 3

    def within(rows: np.ndarray) -> float:
        pairs = [cubic(rows[i], rows[j]) for i, j in itertools.product(range(len(rows)), repeat=2) if i != j]
        return sum(pairs) / len(pairs)

    across = [cubic(x, y) for x in first for y in second]
    return within(first) + within(second) - 2 * sum(across) / len(across)


@pytest.mark.parametrize(("m", "n"), [(7, 7), (5, 9), (2, 2)])
def test_it_is_the_triple_loop(m: int, n: int) -> None:
    first, second = draws(m), draws(n, seed=1) + 0.5
    assert discrepancy(first, second) == pytest.approx(loops(first.double().numpy(), second.double().numpy()), rel=1e-12)


def test_of_constant_features_it_is_the_kernels_own_difference() -> None:
    # all x equal a, all y equal b: k(a, a) + k(b, b) - 2 k(a, b)
    found = discrepancy(torch.full((4, 3), 1.0), torch.full((6, 3), 2.0))
    assert found == pytest.approx(2**3 + 5**3 - 2 * 3**3)


def test_the_mean_over_subsets_is_that_of_the_disjoint_subsets_of_every_round(meter: Count) -> None:
    # two subsets of half the rows a round, 50 rounds
    found = kernel_distance(draws(100), draws(100, seed=1) + 0.3, 0, meter)
    assert found.protocol["subsets"] == meter.done == 100
    assert found.protocol["subset_size"] == 50
    assert found.value == pytest.approx(discrepancy(draws(100), draws(100, seed=1) + 0.3), rel=0.1)


@pytest.mark.parametrize(
    ("counts", "size", "subsets"), [((2000, 2000), 1000, 100), ((5000, 3500), 1000, 102), ((900, 10_000), 450, 100)]
)
def test_there_are_at_least_a_hundred_subsets_of_a_thousand_where_that_many_fit(
    counts: tuple[int, int], size: int, subsets: int, meter: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "discrepancy", lambda first, second: float(len(first)))  # the slow part, of which there are many
    protocol = kernel_distance(draws(counts[0], 2), draws(counts[1], 2, seed=1), 0, meter).protocol
    assert (protocol["subset_size"], protocol["subsets"]) == (size, subsets)
    assert ("few_samples" in protocol) == (counts[0] < 2000)


def test_the_same_seed_gives_the_same_number_and_another_seed_another(meter: Count) -> None:
    # trap 19; also whatever the global generators did before
    first, second = draws(300), draws(300, seed=1)
    one = kernel_distance(first, second, 3, meter)
    torch.manual_seed(123)
    np.random.default_rng(0).random()
    assert kernel_distance(first, second, 3, meter) == one
    assert kernel_distance(first, second, 4, meter).value != one.value


def test_generated_and_real_images_are_shuffled_apart_and_anew_in_every_round(
    meter: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the same order for both would pair up the rows of sets that correspond, such as images and their reconstructions
    seen: list[tuple[set[float], set[float]]] = []

    def record(first: Tensor, second: Tensor) -> float:
        seen.append((set(first[:, 0].tolist()), set(second[:, 0].tolist())))
        return 0.0

    monkeypatch.setattr(kernel, "discrepancy", record)
    kernel_distance(draws(200), draws(200), 0, meter)
    assert all(fake != real for fake, real in seen)
    assert all(not seen[2 * number][0] & seen[2 * number + 1][0] for number in range(50))
    assert len({frozenset(fake) for fake, _ in seen}) == 100


def test_float32_features_and_their_float64_copies_agree(meter: Count) -> None:
    first, second = draws(200), draws(200, seed=1)
    one = kernel_distance(first, second, 0, meter).value
    assert kernel_distance(first.double(), second.double().numpy(), 0, meter).value == pytest.approx(one, rel=1e-12)


def test_too_few_images_and_other_features_are_refused(meter: Count) -> None:
    with pytest.raises(UsageError, match=r"99 .* 100"):
        kernel_distance(draws(500), draws(99), 0, meter)
    with pytest.raises(UsageError, match=r"5 .* 6 "):
        kernel_distance(draws(500), draws(500, 6), 0, meter)

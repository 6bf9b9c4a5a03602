"""The densities of toy points: exact probabilities against SciPy, entropies against sums, draws against probabilities."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.data.dataset import Dataset, Split
from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES, KnownDensity, cells, known_density_of, points_of
from simulacra.metrics.statistics.point_density import compare_with_density, cross_entropy, high_quality_share, modes_covered

CORNER = KnownDensity(
    "corner", np.array([[0.0, 254.0], [3.3, 128.0]]), 6.0, np.arange(2)
)  # half of one mode, or more, is cut off
ALL = [*KNOWN_DENSITIES.values(), CORNER]
N = 200_000
by_density = pytest.mark.parametrize("density", ALL, ids=lambda density: density.name)
by_toy = pytest.mark.parametrize("density", KNOWN_DENSITIES.values(), ids=lambda density: density.name)


def masses(density):
    """Return the probability of every cell [256 256], from SciPy's distribution function."""
    edges = np.arange(257) - 0.5
    total = np.zeros((256, 256))
    for x, y in density.centres:
        total += np.outer(*(np.diff(scipy.stats.norm.cdf(edges, centre, density.sigma)) for centre in (x, y)))
    return total / total.sum()


@by_density
def test_probabilities_are_those_of_the_normal_distribution_and_add_up_to_one(density):
    assert density.probabilities.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(density.probabilities, masses(density), rtol=1e-9, atol=1e-15)
    assert density.shares.sum() == pytest.approx(1, abs=1e-12)


@by_density
def test_the_entropy_is_that_of_all_cells(density):
    assert density.entropy_nats == pytest.approx(scipy.stats.entropy(masses(density).ravel()), rel=1e-9)


def test_the_entropy_of_separate_modes_is_that_of_one_and_of_the_choice():
    # of a normal distribution: log(2 pi e sigma^2); rounding to cells adds 1/12 to the variance, the error is of fourth order
    for name, count in (("ring", 8), ("grid", 25)):
        assert KNOWN_DENSITIES[name].entropy_nats == pytest.approx(np.log(2 * np.pi * np.e * (4 + 1 / 12) * count), abs=1e-3)


def test_improbable_points_are_scored_exactly_where_probabilities_vanish():
    density = KnownDensity("one", np.array([[20.0, 30.0]]), 2.0, np.zeros(1, int))

    def log_mass(cell, centre):  # with the largest exponent taken out of the integral
        low = abs(cell - centre) - 0.5
        inside, _ = scipy.integrate.quad(lambda at: np.exp((low**2 - at**2) / 8), low, low + 1, epsabs=0)
        return np.log(inside / np.sqrt(8 * np.pi)) - low**2 / 8

    for point in ((255, 255), (255, 0), (90, 30)):
        expected = sum(log_mass(cell, centre) for cell, centre in zip(point, (20.0, 30.0), strict=True) if cell != centre)
        expected += np.log(scipy.stats.norm.cdf(0.25) - scipy.stats.norm.cdf(-0.25)) * (30 in point)
        assert density.log_probability(np.array([point], np.uint8))[0] == pytest.approx(expected, rel=1e-9)


def test_the_moons_are_even_along_their_arcs():
    density = KNOWN_DENSITIES["moons"]
    angles = np.linspace(np.pi / 4, 3 * np.pi / 4, 4000)
    arc = 127.5 + 70 * (np.stack([np.cos(angles), np.sin(angles)], 1) - [0.5, 0.25])
    apart = ((arc[:, None] - density.centres) ** 2).sum(2) / density.sigma**2
    density = np.exp(-apart / 2).sum(1)
    assert np.ptp(density) < 1e-9 * density.mean()


@by_density
def test_draws_have_the_frequencies_of_the_probabilities(density):
    # chi-square over all cells that expect ten points, and the others together; seeds fixed, 1e-6 for each of four densities;
    # detects differences of a tenth in the probabilities of all cells
    points, modes = density.sample(N, 3)
    counts = np.bincount(points.astype(int) @ [256, 1], minlength=65536)
    expected = N * density.probabilities.ravel()
    often = expected >= 10
    seen, due = (np.append(values[often], values[~often].sum()) for values in (counts, expected))
    assert scipy.stats.chisquare(seen, due * N / due.sum()).pvalue > 1e-6
    assert scipy.stats.chisquare(np.bincount(modes), N * density.shares).pvalue > 1e-6


@pytest.mark.long
@by_density
def test_points_of_the_density_have_its_entropy_on_average(density):
    # 5 standard errors: 6e-7 for each of four densities; detects 8 standard errors, 0.02 nats
    points, rows = np.unique(density.sample(N, 4)[0], axis=0, return_inverse=True)  # each cell is scored once
    scores = -density.log_probability(points)[rows.reshape(-1)]
    assert abs(scores.mean() - density.entropy_nats) < 5 * scores.std() / N**0.5


def test_draws_depend_on_the_seed_and_the_purpose_alone():
    density = KNOWN_DENSITIES["ring"]
    (first, modes), (again, _), (other, _) = (
        density.sample(50, 0, "train"),
        density.sample(50, 0, "train"),
        density.sample(50, 0, "test"),
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(density.nearest(first)[0], modes)  # modes lie 38 standard deviations apart


@by_toy
def test_modes_keep_away_from_each_other_and_from_the_border(density):
    apart = np.hypot(*(density.centres[:, None] - density.centres).transpose(2, 0, 1))
    assert apart[density.modes[:, None] != density.modes].min() > 16 * density.sigma
    assert np.minimum(density.centres, 255 - density.centres).min() > 8 * density.sigma


# --- what is measured with them


@by_toy
def test_points_of_the_density_reach_every_mode_and_are_as_good_as_they_can_be(density):
    found = compare_with_density(density.sample(10_000, 5)[0], density.sample(10_000, 6)[0], density)
    assert found["modes_covered"].value == found["modes_covered"].protocol["of"] == len(density.shares)
    share = found["high_quality_share"]
    low, high = share.bounds
    reach = 2.5 * (high - low) / 2  # 5 standard errors
    assert abs(share.value - share.protocol["expected_for_equal_distributions"]) < reach
    assert found["entropy_nats"].value == density.entropy_nats
    assert found["class_kl"].value < 5 * found["class_kl"].protocol["expected_for_equal_distributions"]


def test_the_share_near_a_round_mode_is_that_of_the_plane():
    # 1 - exp(-9/2) within 3 standard deviations of a continuous density; cells make it a step
    assert high_quality_share(cells(), KNOWN_DENSITIES["ring"]).protocol["expected_for_equal_distributions"] == pytest.approx(
        1 - np.exp(-4.5), abs=2e-3
    )


@by_toy
def test_a_missing_mode_is_missed(density):
    points, modes = density.sample(10_000, 7)
    assert modes_covered(points[modes != 1], density).value == len(density.shares) - 1


def test_a_tenth_of_the_share_is_the_border():
    density = KNOWN_DENSITIES["ring"]
    points, modes = density.sample(80_000, 8)
    for kept, covered in ((1200, 8), (600, 7)):  # of about 10,000 a mode
        planted = np.concatenate([points[modes != 3], points[modes == 3][:kept]])
        measured = modes_covered(planted, density)
        assert (measured.value, measured.protocol["with_any"]) == (covered, 8)


@by_toy
def test_noise_reaches_no_mode_and_is_improbable(density):
    noise = np.random.default_rng(0).integers(0, 256, (10_000, 2), np.uint8)
    assert modes_covered(noise, density).value == 0
    assert modes_covered(noise, density).protocol["with_any"] == len(density.shares)
    assert high_quality_share(noise, density).bounds[1] < 0.1
    assert cross_entropy(noise, density).bounds[0] > density.entropy_nats + 10


def test_a_collapse_to_the_centre_of_one_mode_changes_all_metrics():
    density = KNOWN_DENSITIES["grid"]
    points = np.tile(np.rint(density.centres[7]).astype(np.uint8), (1000, 1))
    found = compare_with_density(points, density.sample(10_000, 6)[0], density)
    assert found["modes_covered"].value == 1
    assert found["high_quality_share"].value == 1 > found["high_quality_share"].protocol["expected_for_equal_distributions"]
    assert found["cross_entropy_nats"].value < density.entropy_nats - 0.5
    assert found["class_kl"].value > 2


def test_too_few_points_are_refused_and_few_are_flagged():
    density = KNOWN_DENSITIES["grid"]
    with pytest.raises(UsageError, match="modes_covered of 200 generated points: at least 250"):
        modes_covered(density.sample(200, 0)[0], density)
    assert "few_samples" in modes_covered(density.sample(1000, 0)[0], density).protocol


# --- as data


def test_only_points_of_a_known_name_have_a_known_density():
    def data(name, *shape):
        part = Split("test", np.zeros((1, 1, 1, 1), np.uint8))
        return Dataset(name, "", DataSpec(*shape), part, part, part)

    assert known_density_of(data("moons", 1, 1, 2)) is KNOWN_DENSITIES["moons"]
    assert known_density_of(data("moons", 3, 1, 2)) is None
    assert known_density_of(data("mine", 1, 1, 2)) is None


def test_images_become_the_points_that_they_came_from():
    points = np.array([[0, 255], [17, 200]], np.uint8)
    images = torch.from_numpy(points).reshape(2, 1, 1, 2) / 255
    assert np.array_equal(points_of(images), points)
    assert points_of(torch.tensor([[[[-0.2, 1.3]]]])).tolist() == [[0, 255]]

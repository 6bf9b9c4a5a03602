"""Thresholds from normal images: the promised rate, its interval, p-values, and refusals."""

import json
import math
import shutil

import pytest
import torch
from scipy.stats import beta, binom

import simulacra
from simulacra.anomaly.calibration import Calibration, calibration_of, images_needed, store, stored
from simulacra.anomaly.score import Scored
from simulacra.anomaly.scores import find
from simulacra.core.errors import SimulacraError, UsageError

ALPHA, N = 0.05, 199


def calibration(seed, count=N, rate=ALPHA):
    return Calibration(torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).sort().values, rate)


def test_the_promised_rate_holds_on_fresh_normal_scores():
    """4,000 calibrations with 50 new scores each, of which 5 % are expected to be anomalous.

    The standard deviation of a mean rate is sqrt(a (1-a) (1/200 + 1/50) / 4000) or less; the test allows 5 of them: it fails by
    chance with probability 6e-7, and detects a bias of 0.003.
    """
    repeats, fresh = 4000, 50
    rates = torch.empty(repeats, dtype=torch.float64)
    for seed in range(repeats):
        new = torch.randn(fresh, generator=torch.Generator().manual_seed(10**6 + seed), dtype=torch.float64)
        rates[seed] = calibration(seed).anomalous(new).double().mean()
    error = math.sqrt(ALPHA * (1 - ALPHA) * (1 / (N + 1) + 1 / fresh) / repeats)
    assert abs(rates.mean().item() - ALPHA) < 5 * error


@pytest.mark.long
def test_the_interval_covers_the_true_rate_of_a_threshold():
    """The true rate of a threshold t of standard normal scores is 1 - Phi(t); 95 % of 2,000 intervals cover it.

    The number that do is binomial; the test fails by chance with probability 1e-6.
    """
    repeats, covered = 2000, 0
    for seed in range(repeats):
        found = calibration(seed)
        low, high = found.interval
        rate = 0.5 * math.erfc(found.threshold / math.sqrt(2))
        covered += low <= rate <= high
    low, high = binom.ppf((5e-7, 1 - 5e-7), repeats, 0.95)
    assert low <= covered <= high


def test_threshold_and_interval_are_those_of_order_statistics():
    found = Calibration(torch.arange(1, 100, dtype=torch.float64), 0.01)
    assert found.threshold == 99
    assert found.interval == pytest.approx(beta.ppf((0.025, 0.975), 1, 99))
    assert Calibration(torch.arange(1, 100, dtype=torch.float64), 0.1).threshold == 90


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3, 0.333, 0.9])
@pytest.mark.parametrize("ties", [False, True])
def test_verdicts_equal_p_values_of_at_most_the_rate(rate, ties):
    scores = torch.randn(150, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores = ((scores * 3).round() if ties else scores).sort().values
    found = Calibration(scores, rate)
    new = torch.cat([scores, scores + 1e-9, torch.linspace(-9, 9, 200, dtype=torch.float64)])
    assert torch.equal(found.anomalous(new), found.p_values(new) <= rate)


def test_p_values_count_the_normal_scores_that_are_as_large():
    found = Calibration(torch.tensor([1.0, 2.0, 2.0, 3.0]).double(), 0.5)
    assert found.p_values(torch.tensor([0.0, 2.0, 3.0, 4.0])).tolist() == [1.0, 0.8, 0.4, 0.2]


def test_a_rate_that_so_few_images_cannot_resolve_is_refused_with_the_number_needed():
    assert images_needed(0.01) == 99
    Calibration(torch.zeros(99).double(), 0.01)
    with pytest.raises(UsageError, match=r"0\.01 needs at least 99 .* there are 98.*--false-positive-rate 0\.011"):
        Calibration(torch.zeros(98).double(), 0.01)
    with pytest.raises(UsageError, match=r"there are 0: train with a larger --validation$"):
        Calibration(torch.zeros(0).double(), 0.01)
    for rate in (0.0, 1.0):
        with pytest.raises(UsageError, match="between 0 and 1"):
            images_needed(rate)


def test_heat_maps_are_drawn_on_the_scale_of_normal_images():
    maps = torch.linspace(0, 1, 1000 * 4).view(1000, 2, 2)
    assert calibration_of(Scored(torch.zeros(1000), maps), 0.1).heat == pytest.approx(0.999, abs=1e-3)


# --- stored calibrations


@pytest.fixture
def run(trained_vae, tmp_path):
    """A copy of a trained run, opened."""
    shutil.copytree(trained_vae.run.path, tmp_path / "run")
    return simulacra.open(tmp_path / "run")


def test_a_stored_calibration_is_read_back(run):
    score = find("pca", run.model)
    assert stored(run, score) is None
    path = store(run, score, calibration(0))
    found = stored(run, score)
    assert found is not None
    assert torch.equal(found.scores, calibration(0).scores)
    assert (found.rate, found.threshold) == (ALPHA, calibration(0).threshold)
    content = json.loads(path.read_text())
    assert content["weights_sha256"] == run.digest
    assert content["threshold"] == calibration(0).threshold


def test_a_calibration_of_other_weights_is_refused(run):
    score = find("pca", run.model)
    store(run, score, calibration(0))
    with torch.no_grad():
        next(run.model.parameters()).add_(1)
    other = simulacra.open(run.run.path)
    other.model.load_state_dict(run.model.state_dict())
    with pytest.raises(UsageError, match=r"calibration of other weights.*detect calibrate"):
        stored(other, score)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("settings", {"components": 3}, UsageError),
        ("data_sha256", "0" * 64, UsageError),
        ("validation_scores", "x", SimulacraError),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(run, name, value, error):
    score = find("pca", run.model)
    path = store(run, score, calibration(0))
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(error, match="detect calibrate"):
        stored(run, score)

"""Metrics of restorations, with models whose restorations are known: coverage, width, similarity, what is refused."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import simulacra
from simulacra.core.capabilities import Restores
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT
from simulacra.data.load import from_array
from simulacra.evaluation.settings import evaluation_settings
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.restorations import restoration, restoration_features
from simulacra.metrics.restorations.conformal import normal_factor
from simulacra.runs.opened import OpenedRun
from simulacra.runs.run import Run

SIDE, SIGMA = 12, 0.1
QUANTILE = 4.9  # of the standard normal distribution: two-sided false-positive rate 1e-6


def noisy_images(count: int = 1200) -> np.ndarray:
    """Return grey images of one brightness each, with Gaussian noise of 0.1, in which the values of an image are dependent."""
    random = np.random.default_rng(0)
    shared = random.normal(0, SIGMA, (count, 1, 1)) * math.sqrt(0.3)
    own = random.normal(0, SIGMA, (count, SIDE, SIDE)) * math.sqrt(0.7)
    return np.rint(255 * np.clip(0.5 + shared + own, 0, 1)).astype(np.uint8)


class Toy(nn.Module, Restores):
    """Draws every value from N(0.5, (scale 0.1)^2): the marginal distribution of the images, for a scale of 1."""

    degradations = "missing pixels"
    noise_shape: ClassVar[tuple[int, ...]] = (SIDE * SIDE,)

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def restore(self, degraded: Tensor, known: Tensor, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        return 0.5 + self.scale * SIGMA * noise.unflatten(1, (1, SIDE, SIDE))


class Trained(Toy):
    """The same, trained on the degradation that hides the lower half."""

    degradations = "any"

    @property
    def trained_degradations(self) -> tuple[str, ...]:
        return ("bottom",)

    def complete_condition(self, given: Condition, images: Tensor) -> Condition:
        known = torch.ones_like(images[:, :1])
        known[:, :, SIDE // 2 :] = 0
        return Condition(image=images * known, known=known)


@pytest.fixture(scope="module")
def data():
    return from_array(noisy_images(), name="noisy")


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out = tmp_path_factory.mktemp("runs") / "toy"
        simulacra.train("autoencoder", dataset=data, duration="1", batch=8, network="dense", hidden=(4,), threads=1, out=out)
    return out


@pytest.fixture
def context_of(run, data, tmp_path):
    """Return a function that gives a context of a model; the calibrations are stored in a folder of the test."""

    def make(model: nn.Module, **settings: object) -> EvaluationContext:
        opened = OpenedRun(Run.open(run), data, device="cpu")
        opened.run.calibrations = tmp_path / "calibrations"
        opened.model = model  # type: ignore[assignment]
        return EvaluationContext(opened, evaluation_settings({"degradation": "bottom", **settings}), SILENT)

    return make


def measured(context):
    found = restoration.METRIC.measure(context)
    assert not found.missing
    return found.measurements


@pytest.mark.parametrize("scale", [1.0, 0.7, 3.0])
def test_calibrated_intervals_cover_new_images_whatever_the_spread_of_the_draws(context_of, scale):
    """120 test and 90 validation images, seed 0, false-positive rate 1e-6, error over both sets of images as clusters."""
    found = measured(context_of(Toy(scale), draws=8))
    coverage, width = found["interval_coverage"], found["interval_width"]
    error = math.hypot(coverage.standard_error, coverage.protocol["calibration_error"])
    assert abs(coverage.value - 0.9) < QUANTILE * error
    assert coverage.protocol["level"] == 0.9
    assert coverage.protocol["pixels"] <= 120 * SIDE * SIDE // 2
    assert coverage.n == 120
    ideal = normal_factor(0.9) * math.sqrt(1 + scale**2 / 8)  # of the truth about the mean of 8 draws, in units of sigma
    assert coverage.protocol["factor"] * scale == pytest.approx(ideal, rel=0.25)
    assert width.value == pytest.approx(2 * ideal * SIGMA, rel=0.25)


def test_fewer_images_give_a_larger_error_and_the_level_is_chosen(context_of):
    few = measured(context_of(Toy(), restoration_images=20, level=0.5))["interval_coverage"]
    assert few.n == 20
    assert abs(few.value - 0.5) < QUANTILE * math.hypot(few.standard_error, few.protocol["calibration_error"])


def test_similarity_is_that_of_the_mean_of_the_draws(context_of, data):
    found = measured(context_of(Toy(), draws=4))
    psnr, hidden = found["restoration_psnr_db"], found["restoration_psnr_db"].protocol["hidden_psnr_db"]
    assert hidden == pytest.approx(-10 * math.log10(SIGMA**2 * (1 + 1 / 4)), abs=0.6)  # a mean of decibels
    assert psnr.value == pytest.approx(hidden + 10 * math.log10(2), abs=1e-6)  # half of the pixels have no error
    assert found["restoration_diversity"].value == pytest.approx(SIGMA * 0.9213, rel=0.02)  # c4 of 4 draws
    assert 0 < found["restoration_ssim"].value < 1
    assert {"degradation": "bottom", "draws": 4, "seed": 0}.items() <= psnr.protocol.items()


def test_a_model_with_degradations_of_its_own_is_measured_on_these(context_of):
    named, own = (measured(context_of(Trained(), degradation=name)) for name in ("bottom", ""))
    assert named["restoration_psnr_db"].value == own["restoration_psnr_db"].value
    assert own["interval_coverage"].protocol["degradation"] == "bottom"


def test_a_degradation_must_be_named_and_be_one_that_the_model_restores(context_of):
    assert "--degradation quadrants:1" in restoration.METRIC.not_applicable(context_of(Toy(), degradation=""))
    assert restoration.METRIC.not_applicable(context_of(Toy())) == ""
    assert restoration.METRIC.not_applicable(context_of(Trained(), degradation="")) == ""
    with pytest.raises(UsageError, match="Toy restores missing pixels only, and blur:1 changes the others"):
        restoration.METRIC.not_applicable(context_of(Toy(), degradation="blur:1"))
    with pytest.raises(UsageError, match="did you mean 'bottom'"):
        restoration.METRIC.not_applicable(context_of(Toy(), degradation="botom"))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"calibration_images": 0}, "disabled"), ({"split": "validation"}, "measure their coverage on test images")],
)
def test_intervals_without_a_calibration_are_missing_with_a_reason(context_of, settings, reason):
    found = restoration.METRIC.measure(context_of(Toy(), **settings))
    assert set(found.missing) == {"interval_coverage", "interval_width"}
    assert all(reason in why for why in found.missing.values())
    assert "restoration_psnr_db" in found.measurements


def test_draws_that_agree_have_no_intervals_to_calibrate(context_of):
    found = restoration.METRIC.measure(context_of(Toy(0.0)))
    assert "from 0 hidden values" in found.missing["interval_coverage"]
    assert found.measurements["restoration_diversity"].value == 0


def test_a_calibration_is_stored_and_used_for_the_same_weights_only(context_of):
    first = measured(context_of(Toy()))
    (file,) = context_of(Toy()).opened.run.calibrations.iterdir()
    stamp = file.stat().st_mtime_ns
    assert measured(context_of(Toy())) == first
    assert file.stat().st_mtime_ns == stamp
    other = measured(context_of(Toy(2.0)))
    assert other["interval_coverage"].protocol["factor"] < 0.6 * first["interval_coverage"].protocol["factor"]
    file.write_text("{")
    assert measured(context_of(Toy())) == first


def test_the_distance_in_features_is_that_of_unit_vectors(context_of):
    class Pixels:
        name, protocol = "pixels", {"extractor": "pixels"}

        def features(self, images: Tensor) -> Tensor:
            return images.flatten(1)

    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.rand(5, 1, 3, 3, generator=generator) for _ in range(2))
    found = restoration_features.feature_distance(Pixels(), ours, theirs)  # type: ignore[arg-type]
    expected = 2 - 2 * torch.cosine_similarity(ours.flatten(1).double(), theirs.flatten(1).double())
    torch.testing.assert_close(found, expected)
    context = context_of(Toy())
    context.extractor = Pixels()
    result = restoration_features.METRIC.measure(context).measurements["restoration_feature_distance"]
    assert 0 < result.value < 0.1
    assert result.n == 120
    assert result.protocol["extractor"] == "pixels"

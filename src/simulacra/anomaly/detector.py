"""Detectors: anomaly scores with their calibrations."""

from dataclasses import dataclass

from torch import Tensor

from simulacra.anomaly.calibration import DEFAULT_RATE, Calibration, require_enough, store, stored, validation_scores
from simulacra.anomaly.score import Score, Scorer, score_images
from simulacra.anomaly.scores import find
from simulacra.core.progress import SILENT, Progress
from simulacra.runs.opened import OpenedRun, check_images


@dataclass(frozen=True)
class Detector:
    """A score, what computes it, and its calibration."""

    score: Score
    scorer: Scorer
    calibration: Calibration


def fitted(opened: OpenedRun, score: Score, calibration: Calibration | None, rate: float, progress: Progress) -> Detector:
    """Return a score with its calibration, computed from the validation images unless it is given."""
    scorer = score.fit(opened, progress)
    return Detector(score, scorer, calibration or validation_scores(opened, scorer, rate, progress))


def calibrated(opened: OpenedRun, score: Score, progress: Progress) -> Detector:
    """Return a score with its stored calibration, or calibrate it with the default rate and store that."""
    held = stored(opened, score)
    if held is None:
        require_enough(len(opened.dataset.validation), DEFAULT_RATE)
    scorer = score.fit(opened, progress)
    if held is None:
        progress.message(f"{score.name} is not calibrated: calibrating for a false-positive rate of {DEFAULT_RATE:g}")
        held = validation_scores(opened, scorer, DEFAULT_RATE, progress)
        store(opened, score, held)
    return Detector(score, scorer, held)


@dataclass(frozen=True)
class Detection:
    """Scores of images float64 [n], larger for images less like the training images, and what the calibration makes of them.

    p_values: conformal p-values float64 [n] among normal images; anomalous: bool [n], where the score is above the calibrated
    threshold; maps: heat maps float32 [n h w] of non-negative values, None for a score that has none.
    """

    scores: Tensor
    p_values: Tensor
    anomalous: Tensor
    maps: Tensor | None


def detect(opened: OpenedRun, images: Tensor, score: str = "", progress: Progress = SILENT) -> Detection:
    """Return what a calibrated anomaly score finds in images [n c h w] in [0, 1].

    score: its name, by default that of the family. Its calibration is that of the run folder, made now where there is none.
    Raises NotApplicable, UsageError for an unknown name, another shape or too few validation images.
    """
    check_images(images, opened.spec)
    detector = calibrated(opened, find(score, opened.model), progress)
    with progress.task("scoring images", len(images), "images") as meter:
        scored = score_images(detector.scorer, images, meter, "images")
    held = detector.calibration
    return Detection(scored.values, held.p_values(scored.values), held.anomalous(scored.values), scored.maps)

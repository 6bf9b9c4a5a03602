"""Detectors: anomaly scores with their calibrations."""

from dataclasses import dataclass

from simulacra.anomaly.calibration import DEFAULT_RATE, Calibration, require_enough, store, stored, validation_scores
from simulacra.anomaly.score import Score, Scorer
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun


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

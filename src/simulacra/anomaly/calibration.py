"""Calibration: thresholds and p-values of a score from held-out normal images alone.

Of n calibration scores s_(1) <= .. <= s_(n) and a new score s of a normal image, all exchangeable, every rank of s is equally
likely. Hence p = (1 + #{s_(i) >= s}) / (n + 1) is at most u with probability at most u (Vovk, Gammerman & Shafer 2005,
proposition 2.4), and images with p <= alpha are called anomalous: those above the threshold s_(m), m = ceil((n + 1) (1 -
alpha)). For a continuous score the false-positive rate at a fixed threshold s_(m) is a random variable of the calibration
images, with the distribution Beta(n + 1 - m, m): the coverage of order statistics (Wilks 1941). Ties can only lower the rate.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simulacra.anomaly.score import Score, Scored, Scorer, score_images
from simulacra.anomaly.training_images import images_of
from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.files import write_json
from simulacra.core.progress import Progress
from simulacra.core.text import quoted
from simulacra.images.files import make_folder
from simulacra.runs.opened import OpenedRun

DEFAULT_RATE = 0.01
_FORMAT = 1
_CONFIDENCE = 0.95
_HEAT_QUANTILE = 0.999  # of the pixels of heat maps of calibration images: full colour in drawings


@dataclass(frozen=True)
class Calibration:
    """The scores of held-out normal images, sorted, and a wanted false-positive rate.

    heat: the value of a heat map that is drawn in full colour, 0 where the score has none. Raises UsageError for a rate that the
    number of scores cannot resolve.
    """

    scores: Tensor
    rate: float
    heat: float = 0.0

    def __post_init__(self) -> None:
        require_enough(self.count, self.rate)

    @property
    def count(self) -> int:
        """Number of calibration images, n."""
        return len(self.scores)

    @property
    def rank(self) -> int:
        """Rank m of the score that is the threshold, counted from 1: ceil((n + 1) (1 - rate)), in exact arithmetic."""
        return math.ceil((self.count + 1) * (1 - Fraction(str(self.rate))))

    @property
    def threshold(self) -> float:
        """Scores above it are anomalous."""
        return float(self.scores[self.rank - 1])

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the false-positive rate at this threshold: quantiles of Beta(n + 1 - m, m)."""
        from scipy.stats import beta  # takes a second to import

        tail = (1 - _CONFIDENCE) / 2
        low, high = beta.ppf((tail, 1 - tail), self.count + 1 - self.rank, self.rank)
        return float(low), float(high)

    def p_values(self, values: Tensor) -> Tensor:
        """Return conformal p-values float64 [n] of scores [n]."""
        below = torch.searchsorted(self.scores, values.double())
        return (1 + self.count - below).double() / (self.count + 1)

    def anomalous(self, values: Tensor) -> Tensor:
        """Return which scores are above the threshold, bool [n]: the same as p-values of at most the rate."""
        return values.double() > self.threshold

    def facts(self) -> dict[str, Any]:
        """Return threshold, rates and number of images, as in JSON."""
        low, high = self.interval
        return {
            "false_positive_rate": self.rate,
            "threshold": self.threshold,
            "true_rate_interval": [low, high],
            "calibration_images": self.count,
        }


def images_needed(rate: float) -> int:
    """Return the number of calibration images with which a false-positive rate can be promised: the least n with 1/(n+1) <= rate.

    Raises UsageError for a rate outside of (0, 1).

    >>> images_needed(0.01), images_needed(0.05)
    (99, 19)
    """
    if not 0 < rate < 1:
        raise UsageError(f"the false-positive rate is {rate:g}, expected a number between 0 and 1, such as {DEFAULT_RATE}")
    return math.ceil(1 / Fraction(str(rate))) - 1


def require_enough(count: int, rate: float) -> None:
    """Raise UsageError for a false-positive rate that `count` held-out normal images cannot resolve."""
    if count < (needed := images_needed(rate)):
        possible = math.ceil(1000 / (count + 1)) / 1000
        choice = f"choose 'simulacra detect calibrate RUN --false-positive-rate {possible:g}', or " if count else ""
        raise UsageError(
            f"a false-positive rate of {rate:g} needs at least {needed:,} held-out normal images, and there are {count:,}: "
            f"{choice}train with a larger --validation"
        )


def calibration_of(scored: Scored, rate: float) -> Calibration:
    """Return the calibration by the scores of held-out normal images; raises UsageError for a rate they cannot resolve."""
    maps = scored.maps
    heat = 0.0 if maps is None else float(torch.quantile(_thinned(maps.flatten().double()), _HEAT_QUANTILE))
    return Calibration(scored.values.double().sort().values, rate, heat)


def _thinned(values: Tensor, most: int = 10**6) -> Tensor:
    """Return at most about `most` evenly spaced values: torch.quantile is limited to 16 million."""
    return values[:: max(1, -(-len(values) // most))]


def validation_scores(opened: OpenedRun, scorer: Scorer, rate: float, progress: Progress) -> Calibration:
    """Return the calibration of a scorer by the validation images of a run, which are neither training nor test images."""
    images = images_of(opened.dataset.validation)
    with progress.task("scoring validation images", len(images), "images") as meter:
        return calibration_of(score_images(scorer, images, meter, "validation images"), rate)


def store(opened: OpenedRun, score: Score, calibration: Calibration) -> Path:
    """Write a calibration into the run folder, with the digests of weights and data; returns its path."""
    path = opened.run.calibration(score.name)
    content = {
        "format": _FORMAT,
        **_identity(opened, score),
        **calibration.facts(),
        "heat": calibration.heat,
        "validation_scores": calibration.scores.tolist(),
    }
    make_folder(path.parent)
    write_json(path, content)
    return path


def stored(opened: OpenedRun, score: Score) -> Calibration | None:
    """Return the calibration of a score that is stored in the run folder, None where there is none.

    Raises UsageError for one of other weights, data or settings, SimulacraError for one that is damaged.
    """
    path = opened.run.calibration(score.name)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        calibration = Calibration(
            torch.tensor(content["validation_scores"], dtype=torch.float64), content["false_positive_rate"], content["heat"]
        )
        found: Mapping[str, Any] = {name: content[name] for name in ("format", *_identity(opened, score))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SimulacraError(f"{path} is damaged ({error}): {_remedy(opened, score)}") from error
    names = {"weights_sha256": "weights", "data_sha256": "data", "settings": "settings of the score", "format": "an older format"}
    for name, expected in {"format": _FORMAT, **_identity(opened, score)}.items():
        if found[name] != expected:
            what = f"other {names.get(name, name)}" if name != "format" else names[name]
            got = f": {str(found[name])[:12]}, expected {str(expected)[:12]}"
            raise UsageError(f"{path} is a calibration of {what}{got}: {_remedy(opened, score)}")
    return calibration


def _identity(opened: OpenedRun, score: Score) -> dict[str, Any]:
    """Return what a calibration is valid for."""
    weights, data = opened.digest, opened.run.provenance["data"]["digest"]
    return {"weights_sha256": weights, "data_sha256": data, "score": score.name, "settings": dict(score.settings)}


def _remedy(opened: OpenedRun, score: Score) -> str:
    return f"run `simulacra detect calibrate {quoted(opened.run.path)} --score {score.name}`"

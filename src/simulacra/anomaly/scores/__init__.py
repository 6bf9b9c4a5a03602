"""Anomaly scores, one file each; every module of this package that defines SCORE is found here."""

import importlib
import pkgutil
from functools import cache

from torch import Tensor

from simulacra.anomaly.score import Score, score_images
from simulacra.core.errors import NotApplicable, unknown
from simulacra.core.progress import SILENT
from simulacra.runs.opened import OpenedRun, check_images

DEFAULTS = ("hidden", "denoising", "neighbours", "discriminator", "likelihood", "reconstruction")
"""Scores in the order in which the default of a family is chosen, the first that is applicable; fixed before any evaluation."""

BASELINES = ("pca", "pixel-neighbours")
"""Scores that use no model and are displayed with every evaluation."""

LOCAL_BASELINE = "patches"
"""The baseline that is displayed as well where anomalies have masks."""


@cache
def scores() -> dict[str, Score]:
    """Return every score by name."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    known: list[Score] = [module.SCORE for module in modules]
    return {score.name: score for score in sorted(known, key=lambda score: score.name)}


def find(name: str, model: object) -> Score:
    """Return the score of a name, empty for the model's default.

    Raises UsageError for an unknown name, with the nearest one, and NotApplicable where the model lacks what the score needs.
    """
    if not name:
        return default(model)
    if name not in scores():
        raise unknown("score", name, scores())
    score = scores()[name]
    score.require(model)
    return score


def default(model: object) -> Score:
    """Return the default score of a model or of a class of models; raises NotApplicable where no score of models applies."""
    found = next((score for name in DEFAULTS if (score := scores()[name]).applies_to(model)), None)
    if found is None:
        kind = model if isinstance(model, type) else type(model)
        raise NotApplicable(f"detect is not applicable to {kind.__name__}: none of {', '.join(DEFAULTS)} applies")
    return found


def anomaly_scores(opened: OpenedRun, images: Tensor, score: str = "") -> Tensor:
    """Return anomaly scores float64 [n] of images [n c h w] in [0, 1], larger for images less like the training images.

    score: its name, by default that of the family. Raises NotApplicable, UsageError for an unknown name or another shape.
    """
    chosen = find(score, opened.model)
    with SILENT.task("", None, "") as meter:
        return score_images(chosen.fit(opened, SILENT), check_images(images, opened.spec), meter, "images").values

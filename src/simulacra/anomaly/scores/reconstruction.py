"""Reconstruction error: a model of normal images reconstructs these better than others (Hawkins et al. 2002)."""

from torch import Tensor

from simulacra.anomaly.score import Score, Scored, Scorer, of_squared_errors
from simulacra.core.capabilities import Reconstructs, require
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    model = require(opened.model, Reconstructs, "the score reconstruction")

    def scored(images: Tensor) -> Scored:
        return of_squared_errors((opened.apply(model.reconstruct, images) - images) ** 2)

    return scored


SCORE = Score("reconstruction", "squared error of the reconstruction, summed over the image", _fit, (Reconstructs,), maps=True)

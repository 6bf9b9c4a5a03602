"""Baseline: Euclidean distance in pixels to the 5th nearest training image (Ramaswamy et al. 2000). It uses no model."""

from simulacra.anomaly.neighbours import Neighbours
from simulacra.anomaly.score import Score, Scored, Scorer
from simulacra.anomaly.training_images import first_images
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun

_NEIGHBOURS, _REFERENCES = 5, 60_000


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    neighbours = Neighbours(first_images(opened, _REFERENCES).flatten(1), _NEIGHBOURS)
    return lambda images: Scored(neighbours.distances(images.flatten(1))[0][:, -1])


SCORE = Score(
    "pixel-neighbours",
    f"baseline: distance in pixels to the {_NEIGHBOURS}th nearest training image",
    _fit,
    settings={"neighbours": _NEIGHBOURS, "references": _REFERENCES},
)

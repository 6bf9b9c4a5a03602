"""Whether a conditional generator draws what it was asked for."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.metrics.measurement import Measurement, fraction_of
from simulacra.metrics.statistics.feature_matrix import classes
from simulacra.metrics.statistics.sample_size import flagged, require

_ENOUGH = 1000


def label_agreement(asked: Tensor | NDArray[Any], predicted: Tensor | NDArray[Any], count: int) -> Measurement:
    """Measure label_agreement: share of generated images in which a classifier sees the class asked for. Larger is better.

    Both are classes [n] in 0..count-1. The classifier's own errors count as the generator's: a perfect generator reaches its
    accuracy on real images. The interval covers the images drawn. Raises UsageError without images, or where the lengths differ.
    """
    wanted, seen = classes(asked, "asked for", count), classes(predicted, "predicted", count)
    if len(wanted) != len(seen):
        raise UsageError(f"{len(wanted):,} classes were asked for and {len(seen):,} predicted: give one of each per image")
    require("label_agreement", "generated images", len(wanted), 1, "draw some")
    hits = wanted.to(seen.device) == seen
    lowest = min(hits[wanted == label].double().mean().item() for label in torch.unique(wanted).tolist())
    few = flagged(len(hits), _ENOUGH, "a wide interval")
    return fraction_of(hits, {"classes": count, "lowest_class": lowest, **few})

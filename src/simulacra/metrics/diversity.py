"""Diversity: how different images are from each other, against how different real ones are."""

import math

import torch

from simulacra.core.errors import DataError
from simulacra.core.progress import Meter
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.statistics.distances import BLOCK, blocks, cloud, middle, squares
from simulacra.metrics.statistics.feature_matrix import Features, alike, matrix
from simulacra.metrics.statistics.sample_size import flagged, require

_LEAST, _ENOUGH = 10, 1000


def diversity(generated: Features, reference: Features, meter: Meter) -> Measurement:
    """Measure diversity: mean pairwise feature distance of generated images, over that of real ones. 1 is real, 0 a collapse.

    A ratio of two means over pairs; its standard error, by the delta method, covers both draws of images. The meter counts
    the images of both. Raises UsageError below 10 images on either side, DataError where real images are all the same.
    """
    first, second = alike(generated, reference)
    ours, theirs = mean_pairwise_distance(first, meter), mean_pairwise_distance(second, meter)
    if theirs.value == 0:
        raise DataError("the features of all real images are the same: look at what made the features")
    ratio = ours.value / theirs.value
    own, other = ((item.standard_error or 0.0) / theirs.value for item in (ours, theirs))
    protocol = {"reference_n": theirs.n, "generated_distance": ours.value, "real_distance": theirs.value}
    few = flagged(min(ours.n, theirs.n), _ENOUGH, "noisy, not biased")
    return Measurement(ratio, math.hypot(own, ratio * other), ours.n, protocol | few)


def mean_pairwise_distance(features: Features, meter: Meter, *, block: int = BLOCK) -> Measurement:
    """Return the mean Euclidean distance over all pairs of different rows of features [n d], with its standard error.

    The mean over pairs is a U-statistic: the mean a_i of a row's distances has n of them that share it, hence the standard error
    2 std(a_i) / sqrt(n) (Hoeffding 1948). A thousand rows take a tenth of a second, so it can be watched while training.
    """
    rows = matrix(features, "diversity")
    require("diversity", "images", len(rows), _LEAST, "take more")
    points = cloud(rows, middle(rows))
    sums = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    for start, part in blocks(points, len(points), block):
        found = squares(part, points)
        own = torch.arange(len(part), device=found.device)
        found[own, start + own] = 0
        sums[start : start + len(part)] = found.sqrt_().sum(1, dtype=torch.float64)
        meter.advance(len(part))
    means = sums / (len(rows) - 1)
    error = 2 * means.std().item() / math.sqrt(len(rows))
    return Measurement(means.mean().item(), error, len(rows), {"distance": "Euclidean, mean over pairs"})

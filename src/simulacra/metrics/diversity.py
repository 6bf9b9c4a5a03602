"""Diversity: the mean pairwise distance of generated images in feature space, relative to that of real images."""

import math

import torch

from simulacra.core.errors import DataError
from simulacra.core.progress import Meter
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.distances import BLOCK, blocks, cloud, middle, squares
from simulacra.metrics.statistics.feature_matrix import Features, matrix, same_dimensions
from simulacra.metrics.statistics.feature_space import feature_metric
from simulacra.metrics.statistics.measurement import Measurement, flagged, require

_LEAST, _ENOUGH = 10, 1000


def diversity(generated: Features, reference: Features, meter: Meter) -> Measurement:
    """Return diversity: the mean pairwise distance of generated images divided by that of real images.

    1 for equal distributions, 0 for identical images. The standard error, by the delta method, covers both samples of images.
    The meter counts the images of both sets. Raises UsageError below 10 images in either set, DataError where all real images
    have equal features.
    """
    ours, theirs = (mean_pairwise_distance(rows, meter) for rows in same_dimensions(generated, reference))
    if theirs.value == 0:
        raise DataError("all real images have equal features: check the data and the extractor")
    ratio = ours.value / theirs.value
    own, other = ((item.standard_error or 0.0) / theirs.value for item in (ours, theirs))
    protocol = {"reference_n": theirs.n, "generated_distance": ours.value, "real_distance": theirs.value}
    few = flagged(min(ours.n, theirs.n), _ENOUGH, "high variance, no bias")
    return Measurement(ratio, math.hypot(own, ratio * other), ours.n, protocol | few)


def mean_pairwise_distance(features: Features, meter: Meter, *, block: int = BLOCK) -> Measurement:
    """Return the mean Euclidean distance over all pairs of rows of features [n d], with its standard error.

    The mean over pairs is a U-statistic, with the standard error 2 std(a_i) / sqrt(n), where a_i is the mean distance of row i to
    the others (Hoeffding 1948). A thousand rows take a tenth of a second, so training monitors use it too.
    """
    rows = matrix(features, "diversity")
    require("diversity", "images", len(rows), _LEAST, "use more")
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


def _measure(context: EvaluationContext) -> MetricResults:
    fakes, reals = context.generated.features, context.held_out_features.features
    with context.progress.task("diversity", len(fakes) + len(reals), "images") as meter:
        return attempt({"diversity": lambda: diversity(fakes, reals, meter)}).under(context.feature_protocol)


_DIVERSITY = Quantity(
    "diversity", "diversity", "larger", "Mean pairwise distance of generated images, divided by that of real images.", "1"
)

METRIC = feature_metric(
    "diversity", 130, (_DIVERSITY,), _measure, details=("generated_distance", "real_distance"), least=lambda context: _LEAST
)

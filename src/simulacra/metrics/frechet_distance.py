"""Fréchet distance (FD) between generated and real images in feature space, as in the FID (Heusel et al. 2017).

It is not the published FID, which is defined by the features of an Inception network; here the extractor is part of the protocol.
"""

from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.feature_space import feature_metric
from simulacra.metrics.statistics.frechet import REPLICATES, frechet_distance, frechet_floor, frechet_ratio, least_images
from simulacra.metrics.statistics.moments import blocked_moments


def _measure(context: EvaluationContext) -> MetricResults:
    fakes, real, facts = context.floor_sets()
    with context.progress.task("Fréchet distance", 2 * REPLICATES, "steps") as meter:
        reference = blocked_moments(context.held_out_features.features)
        found = attempt(
            {
                "frechet_distance": lambda: frechet_distance(blocked_moments(fakes), reference, meter),
                "frechet_floor": lambda: frechet_floor(real, reference, len(fakes), context.settings.seed, meter),
            }
        )
    measured = dict(found.measurements)
    if len(measured) == 2:
        measured["frechet_ratio"] = frechet_ratio(measured["frechet_distance"], measured["frechet_floor"])
    return MetricResults(measured, found.missing).under(context.feature_protocol | facts)


_DISTANCE = (
    "Fréchet distance between generated and real images in feature space. FID is the same distance in features of an Inception "
    "network; values of different extractors cannot be compared."
)
_FLOOR = "Fréchet distance of as many other real images: the value of a model whose distribution equals that of the data."
_RATIO = "Fréchet distance divided by the floor; 1 means as close to the test images as other real images are."
_QUANTITIES = (
    Quantity("frechet_distance", "Fréchet distance (FD)", "smaller", _DISTANCE),
    Quantity("frechet_floor", "Fréchet floor", "neither", _FLOOR),
    Quantity("frechet_ratio", "Fréchet distance / floor", "smaller", _RATIO, "1"),
)

METRIC = feature_metric(
    "frechet_distance",
    100,
    _QUANTITIES,
    _measure,
    details=("bias", "extrapolated"),
    least=lambda context: least_images(context.feature_dimensions),
)

"""Kernel distance between generated and real images in feature space, as in the KID (Binkowski et al. 2018)."""

from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.feature_space import feature_metric
from simulacra.metrics.statistics.kernel import LEAST, SUBSETS, kernel_distance


def _measure(context: EvaluationContext) -> MetricResults:
    fakes, reals = context.generated.features, context.held_out_features.features
    with context.progress.task("kernel distance", SUBSETS, "subsets") as meter:
        found = attempt({"kernel_distance": lambda: kernel_distance(fakes, reals, context.settings.seed, meter)})
    return found.under(context.feature_protocol)


_DISTANCE = Quantity(
    "kernel_distance",
    "kernel distance",
    "smaller",
    "Squared maximum mean discrepancy between generated and real images in feature space, unbiased for any number of images. "
    "KID is the same distance in features of an Inception network.",
    "0",
)

METRIC = feature_metric("kernel_distance", 110, (_DISTANCE,), _measure, least=lambda context: LEAST)

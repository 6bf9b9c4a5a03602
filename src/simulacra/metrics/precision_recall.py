"""Precision, recall, density and coverage of generated images, by nearest neighbours in feature space."""

from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Measured, MetricResults, Quantity, attempt
from simulacra.metrics.statistics.feature_matrix import random_rows
from simulacra.metrics.statistics.feature_space import feature_metric
from simulacra.metrics.statistics.neighbourhoods import LEAST, neighbourhoods, with_floors


def _measure(context: EvaluationContext) -> MetricResults:
    (fakes, others, facts), reals = context.floor_sets(), context.held_out_features.features
    floor = random_rows(others, len(fakes), context.settings.seed, "precision and recall")
    total = 4 * (len(fakes) + len(reals))

    with context.progress.task("precision and recall", total, "images") as meter:

        def measured() -> Measured:
            return with_floors(neighbourhoods(fakes, reals, meter), neighbourhoods(floor, reals, meter))

        return attempt({"precision": measured}).under(context.feature_protocol | facts)


_PRECISION = "Fidelity: share of generated images that lie within the estimated support of the real images."
_RECALL = "Diversity: share of real images that lie within the estimated support of the generated images."
_DENSITY = "Fidelity: number of real neighbourhoods that contain a generated image, divided by k; 1 for equal distributions."
_COVERAGE = "Diversity: share of real images with a generated image in their neighbourhood."
_QUANTITIES = (
    Quantity("precision", "precision", "larger", _PRECISION),
    Quantity("recall", "recall", "larger", _RECALL),
    Quantity("density", "density", "larger", _DENSITY),
    Quantity("coverage", "coverage", "larger", _COVERAGE),
)
_DETAILS = ("real_against_real", "expected_for_equal_distributions")

METRIC = feature_metric("precision_recall", 120, _QUANTITIES, _measure, details=_DETAILS, least=lambda context: LEAST)

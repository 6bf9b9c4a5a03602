"""Generated points compared with the known density of the data: modes covered, quality, cross-entropy."""

import numpy as np

from simulacra.core.capabilities import Samples
from simulacra.data.synthetic.known_densities import known_density_of, points_of
from simulacra.metrics.class_histogram import CLASS_KL, MODES_COVERED
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity, attempt
from simulacra.metrics.statistics.point_density import compare_with_density


def _measure(context: EvaluationContext) -> MetricResults:
    density = known_density_of(context.opened.dataset)
    assert density is not None
    with context.progress.task("generating", context.settings.samples, "points") as meter:
        generated = []
        for images in context.images():
            generated.append(points_of(images))
            meter.advance(len(images))
    real = context.split.images.reshape(-1, 2)
    found = attempt({"modes_covered": lambda: compare_with_density(np.concatenate(generated), real, density)})
    return found.under(context.label_shares.facts)


_QUALITY = "Share of generated points within 3 standard deviations of a mode of the known density."
_CROSS_ENTROPY = (
    "Mean of -log p of generated points under the known density. Above the entropy: points in improbable places; below: a "
    "distribution that is too narrow."
)
_ENTROPY = "Entropy of the known density: the lower bound of the negative log-likelihood of any model."

METRIC = Metric(
    name="known_density",
    quantities=(
        MODES_COVERED,
        Quantity("high_quality_share", "high-quality share", "larger", _QUALITY),
        CLASS_KL,
        Quantity("cross_entropy_nats", "cross-entropy, nats per point", "neither", _CROSS_ENTROPY),
        Quantity("entropy_nats", "entropy of the data, nats per point", "neither", _ENTROPY),
    ),
    needs=(Samples,),
    order=160,
    cost=lambda context: f"{context.settings.samples:,} generated points",
    measure=_measure,
    images=lambda context: context.settings.samples,
    settings=("samples", "seed"),
    not_applicable=lambda context: "" if context.density_is_known else "needs data with a known density",
    details=frozenset({"of", "with_any", "expected_for_equal_distributions"}),
)

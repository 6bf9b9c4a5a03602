"""What the metrics of generated images have in common: their definition, and the reasons why they do not apply."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from simulacra.core.capabilities import Samples
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity, Section
from simulacra.metrics.statistics.measurement import too_few

SETTINGS = ("samples", "seed", "extractor", "extractor_seed")
"""Settings that metrics in feature space depend on; the sampling plan is added where a model has one."""


def feature_metric(
    name: str,
    order: int,
    quantities: tuple[Quantity, ...],
    measure: Callable[[EvaluationContext], MetricResults],
    *,
    details: Iterable[str] = (),
    section: Section | None = None,
    least: Callable[[EvaluationContext], int] = lambda context: 0,
) -> Metric:
    """Return a metric that compares generated and real images in feature space; arguments as in `Metric`.

    least: the number of generated and of real images that it needs, so that too few are known before anything is computed.
    """

    def not_applicable(context: EvaluationContext) -> str:
        if context.settings.samples == 0 or context.extractor_name == "none":
            return ""  # disabled, whatever the number of images is
        return _known_density(context) or _few_images(name, least(context), context)

    metric = Metric(name, quantities, (Samples,), order, generating_cost, measure, SETTINGS)
    return replace(metric, not_applicable=not_applicable, details=frozenset(details), section=section, in_features=True)


def generating_cost(context: EvaluationContext) -> str:
    """Return the cost in words, most of which is generating images once for all metrics in feature space."""
    return f"{context.settings.samples:,} generated images in features of {context.extractor_name}"


def unconditional(context: EvaluationContext) -> str:
    """Return why metrics of requested classes do not apply, empty for a model that is conditional on classes."""
    if context.classes:
        return ""
    if context.model.label_sizes or "tokens" in context.model.accepts:
        return f"the model is conditional on {'several attributes' if context.model.label_sizes else 'captions'}, not on classes"
    return "the model is unconditional (see --conditional of 'simulacra train')"


def _few_images(name: str, least: int, context: EvaluationContext) -> str:
    """Return why there are too few images for a metric, empty where there are enough."""
    real, generated = len(context.split), context.settings.samples
    few_real = too_few(name, "real images", real, least, f"use more {context.settings.split} images")
    return few_real or too_few(name, "generated images", generated, least, f"use --samples {least}")


def _known_density(context: EvaluationContext) -> str:
    return "the density of the data is known: generated points are compared with it" if context.density_is_known else ""

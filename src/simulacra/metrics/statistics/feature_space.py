"""What the metrics that compare generated and real images in feature space have in common."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulacra.metrics.context import EvaluationContext

SETTINGS = ("samples", "seed", "extractor", "extractor_seed")
"""Settings that all of these metrics depend on; the sampling plan is added where a model has one."""


def known_density(context: "EvaluationContext") -> str:
    """Return why metrics in feature space do not apply: the data are points of a known density; else empty."""
    return "the density of the data is known: generated points are compared with it" if context.density_is_known else ""


def cost(context: "EvaluationContext") -> str:
    """Return the cost in words, most of which is generating images once for all of these metrics."""
    return f"{context.settings.samples:,} generated images in features of {context.extractor_name}"

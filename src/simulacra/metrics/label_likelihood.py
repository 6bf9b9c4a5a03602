"""Negative log-likelihood of images under a label-conditional model, and the accuracy of the Bayes classifier that it gives."""

import math
from typing import Any, cast

from simulacra.core.capabilities import HasLikelihood
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.label_likelihoods import FEW, LabelLikelihoods, label_likelihoods
from simulacra.metrics.statistics.likelihoods import NLL, LikelihoodOptions, is_conditional
from simulacra.metrics.statistics.measurement import Measurement, fraction_of, mean_of


def bayes_accuracy(found: LabelLikelihoods, attributes: tuple[str, ...] = ()) -> Measurement:
    """Return bayes_accuracy: the share of images whose most probable label is theirs; all values of several attributes."""
    hits = (found.predicted == found.labels).view(len(found.labels), -1)
    facts: dict[str, Any] = {name: found.protocol[name] for name in ("target", "importance_samples", "labels", "seed")}
    if attributes:
        facts["by_attribute"] = {name: hits[:, at].double().mean().item() for at, name in enumerate(attributes)}
    return fraction_of(hits.all(1), facts)


def _measure(context: EvaluationContext) -> MetricResults:
    particles, seed = context.options(LikelihoodOptions).particles, context.settings.seed
    with context.progress.task(f"NLL over all labels with {particles} samples", len(context.split), "images") as meter:
        found = label_likelihoods(cast(HasLikelihood, context.model), context.split, particles, seed, meter)
    names = tuple(attribute.name for attribute in context.opened.spec.attributes)
    return MetricResults({"nll_nats": mean_of(found.nats, found.protocol), "bayes_accuracy": bayes_accuracy(found, names)})


def _not_applicable(context: EvaluationContext) -> str:
    conditional = is_conditional(context.model) and bool(context.model.label_sizes)
    return "" if conditional else "its likelihood is not that of images given their labels"


def _cost(context: EvaluationContext) -> str:
    labels, particles = math.prod(context.model.label_sizes), context.options(LikelihoodOptions).particles
    return f"{len(context.split):,} x at least {labels * min(FEW, particles) + particles} decodings"


_ACCURACY = Quantity(
    "bayes_accuracy",
    "Bayes accuracy",
    "larger",
    "Share of images for which the model gives their own label the highest probability, by Bayes' rule.",
)

METRIC = Metric(
    name="label_likelihood",
    quantities=(NLL, _ACCURACY),
    needs=(HasLikelihood, "labels"),
    order=202,
    cost=_cost,
    measure=_measure,
    settings=("seed", "particles"),
    not_applicable=_not_applicable,
    details=frozenset({"labels", "labels_kept", "screening", "by_attribute"}),
)

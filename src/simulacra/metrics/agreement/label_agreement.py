"""Label agreement: whether a conditional model generates images of the requested classes, attributes or captions."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.capabilities import Samples
from simulacra.core.errors import UsageError
from simulacra.metrics.agreement.attribute_agreement import QUANTITIES, measure_attributes
from simulacra.metrics.agreement.attribute_classifiers import attribute_classifiers
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.statistics.feature_matrix import classes
from simulacra.metrics.statistics.feature_space import SETTINGS, generating_cost, unconditional
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of, require

_ENOUGH = 1000


def label_agreement(requested: Tensor | NDArray[Any], predicted: Tensor | NDArray[Any], count: int) -> Measurement:
    """Return label_agreement: the share of generated images that a classifier assigns to the requested class.

    Both are classes [n] in 0..count-1. Errors of the classifier count as errors of the model: a perfect model reaches the
    accuracy of the classifier on real images. The interval covers the generated images. Raises UsageError without images, or
    where the lengths differ.
    """
    wanted, found = classes(requested, "requested", count), classes(predicted, "predicted", count)
    if len(wanted) != len(found):
        raise UsageError(f"there are {len(wanted):,} requested and {len(found):,} predicted classes, expected equal numbers")
    require("label_agreement", "generated images", len(wanted), 1, "generate some")
    hits = wanted.to(found.device) == found
    lowest = min(hits[wanted == label].double().mean().item() for label in torch.unique(wanted).tolist())
    few = flagged(len(hits), _ENOUGH, "a wide interval")
    return fraction_of(hits, {"classes": count, "lowest_class": lowest, **few})


def _measure(context: EvaluationContext) -> MetricResults:
    """Measure with equally many images of each class; of several attributes or captions with those of the held-out images."""
    if not context.classes:
        return measure_attributes(context)
    extractor = context.extractor
    if extractor.classes != context.opened.spec.classes:
        return MetricResults({}, {"label_agreement": f"{extractor.name} predicts other classes than those of the data"})
    requested, predicted = [], []
    with context.progress.task("generating by class", context.settings.samples, "images") as meter:
        for rows, found in context.in_labelled_images(lambda images, rows: {"classes": extractor.predictions(images)}):
            requested.append(context.requested_classes(rows))
            predicted.append(found["classes"])
            meter.advance(len(rows))
    measured = label_agreement(torch.cat(requested), torch.cat(predicted), context.classes)
    facts = {**extractor.protocol, "generated": "rounded to 256 levels", "requested": "all classes equally"}
    facts["seed"] = context.settings.seed
    return MetricResults({"label_agreement": measured.under(facts | context.sampling_protocol)})


def _not_applicable(context: EvaluationContext) -> str:
    return "" if {"labels", "tokens"} & context.model.accepts else unconditional(context)


METRIC = Metric(
    name="label_agreement",
    quantities=QUANTITIES,
    needs=(Samples,),
    order=170,
    cost=generating_cost,
    images=lambda context: context.settings.samples,
    measure=_measure,
    settings=SETTINGS,
    not_applicable=_not_applicable,
    extractors=lambda context: (context.extractor,) if context.classes else attribute_classifiers(context),
    details=frozenset({"lowest_class", "by_attribute", "real_against_real"}),
)

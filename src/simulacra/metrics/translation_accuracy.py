"""Translation accuracy: whether translations keep the class of the original image, by a classifier of the target domain."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from simulacra.core.capabilities import Translates
from simulacra.core.device import model_device
from simulacra.core.family import model_condition
from simulacra.core.progress import Meter
from simulacra.data.dataset import Dataset, Split, levels
from simulacra.data.load import load
from simulacra.data.settings import DomainsConfig
from simulacra.features.extractor import Extractor
from simulacra.features.loading import default_extractor, why_not
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Measured, Metric, MetricResults, Quantity
from simulacra.metrics.statistics.directions import (
    BASELINE,
    ROUNDED,
    UNTRANSLATED,
    Direction,
    directions,
    labelled_chunks,
    original,
)
from simulacra.metrics.statistics.measurement import fraction_of

Classify = Callable[[Tensor], Tensor]  # from images [b c h w] in [0, 1] of a domain to their classes, int64 [b]


def translation_accuracy(model: Translates, direction: Direction, classify: Classify, real: Split, meter: Meter) -> Measured:
    """Return translation_accuracy_to_TO: the share of translations that a classifier of the domain assigns to the original class.

    In [0, 1]; untranslated_accuracy_to_TO is that of the images without translation, by the same classifier. Errors of the
    classifier count as errors of the model: real images of the domain TO reach `real_against_real` (in the protocol). Intervals
    cover the images. Raises UsageError for images without labels.
    """
    device = model_device(model)
    hits, untranslated = [], []
    for held, labels in labelled_chunks(direction.images, direction.start):
        batch = held.to(device)
        translated = levels(model.translate(batch.images, direction.to, model_condition(model, batch))).cpu()
        hits.append(classify(translated) == labels)
        untranslated.append(classify(held.images) == labels)
        meter.advance(len(held))
    on_real = []
    for held, labels in labelled_chunks(real, direction.to):
        on_real.append(classify(held.images) == labels)
        meter.advance(len(held))
    reached = {"real_against_real": torch.cat(on_real).double().mean().item()}
    return {
        f"translation_accuracy_to_{direction.to}": fraction_of(torch.cat(hits), direction.protocol(ROUNDED) | reached),
        f"untranslated_accuracy_to_{direction.to}": fraction_of(torch.cat(untranslated), direction.protocol(UNTRANSLATED)),
    }


def classified(context: EvaluationContext) -> list[Direction]:
    """Return the directions whose accuracy is measured: to the original of a transform, else both; none if not applicable."""
    if _not_applicable(context):
        return []
    source = original(context.opened.dataset.domains)
    return [way for way in directions(context) if source in (None, way.to)]


def classifiers(context: EvaluationContext) -> list[Extractor]:
    """Return for each measured direction a classifier of its target domain, trained now if it is not cached."""
    data = (_training_data(context, way.to) for way in classified(context))
    return [context.load_extractor(_classifier_name(context, one), one) for one in data]


def _not_applicable(context: EvaluationContext) -> str:
    domains = context.opened.dataset.domains
    first, second = domains.values()
    if any(context.held_out(data).labels is None or len(data.spec.classes) < 2 for data in (first, second)):
        return "needs images with classes in both domains"
    if first.spec.classes != second.spec.classes:
        return f"{first.name} and {second.name} have different classes"
    if context.settings.extractor == "none":
        return ""
    reasons = (why_not(_classifier_name(context, data), data) for data in (first, second))
    return next((reason for reason in reasons if reason), "")


def _measure(context: EvaluationContext) -> MetricResults:
    model, domains = cast(Translates, context.model), context.opened.dataset.domains
    found: Measured = {}
    missing: dict[str, str] = {}
    for way, classifier in zip(classified(context), classifiers(context), strict=True):
        real = domains[way.to]
        if classifier.classes != real.spec.classes:
            missing[f"translation_accuracy_to_{way.to}"] = f"{classifier.name} predicts other classes than those of {real.name}"
            continue
        held_out = context.held_out(real)
        with context.progress.task(f"classes in {way.to}", len(way.images) + len(held_out), "images") as meter:
            measured = translation_accuracy(model, way, classifier.predictions, held_out, meter)
        facts = {"classifier": classifier.label, "classifier_name": classifier.name}
        facts["classifier_input"] = classifier.network.rule()
        found |= {name: item.under(facts) for name, item in measured.items()}
    return MetricResults(found, missing)


def _classifier_name(context: EvaluationContext, data: Dataset) -> str:
    chosen = context.settings.extractor
    return default_extractor(data.spec) if chosen == "auto" else chosen


def _training_data(context: EvaluationContext, name: str) -> Dataset:
    """Return the data that the classifier of a domain is trained on: all images, also where the domains share them out."""
    config = context.opened.run.config.data
    if isinstance(config, DomainsConfig) and config.disjoint:
        return load(config.domain(name), context.progress)
    return context.opened.dataset.domains[name]


def _quantities(to: str) -> tuple[Quantity, Quantity]:
    meaning = "Share of translations that a classifier of the target domain assigns to the class of the original."
    return (
        Quantity(f"translation_accuracy_to_{to}", f"translation to {to}, accuracy", "larger", meaning),
        Quantity(f"untranslated_accuracy_to_{to}", f"no translation to {to}, accuracy", "neither", BASELINE),
    )


METRIC = Metric(
    name="translation_accuracy",
    quantities=(*_quantities("a"), *_quantities("b")),
    needs=(Translates,),
    order=70,
    cost=lambda context: f"{len(context.split):,} translations",
    measure=_measure,
    settings=("extractor", "extractor_seed"),
    not_applicable=_not_applicable,
    extractors=classifiers,
    details=frozenset({"real_against_real"}),
)

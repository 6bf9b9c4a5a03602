"""Translation accuracy: whether translations keep the class of the original image, by a classifier of the target domain."""

from typing import cast

from simulacra.core.capabilities import Translates
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.data.settings import DomainsConfig
from simulacra.features.extractor import Extractor
from simulacra.features.loading import default_extractor, why_not
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Measured, Metric, MetricResults, Quantity
from simulacra.metrics.translations.directions import BASELINE, Direction, directions, original
from simulacra.metrics.translations.translated_classes import translation_accuracy


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
    shared=False,
    settings=("extractor", "extractor_seed"),
    not_applicable=_not_applicable,
    extractors=classifiers,
    details=frozenset({"real_against_real"}),
)

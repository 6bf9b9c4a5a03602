"""What an evaluation asks of a model that translates: which answers are known, and who tells the classes that should survive."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from simulacra.core.capabilities import Translates
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.data.settings import DomainsConfig
from simulacra.data.synthetic.transforms import transform_between
from simulacra.features.extractor import Extractor
from simulacra.features.loading import default_extractor, load_extractor, why_not
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.translation import Direction, cycle, nearness, survival

if TYPE_CHECKING:
    from simulacra.metrics.context import EvaluationContext

Measured = dict[str, Measurement]


def directions(context: "EvaluationContext") -> list[Direction]:
    """Return both directions between two domains; with answers where one of them is the other seen through a look."""
    domains = context.trained.dataset.domains
    first, second = domains
    known = _original(domains) is not None
    held_out = {name: context.held_out(data) for name, data in domains.items()}
    return [
        Direction(start, to, held_out[start], held_out[to] if known else None) for start, to in ((first, second), (second, first))
    ]


def _original(domains: Mapping[str, Dataset]) -> str | None:
    """Return the domain of which the other one is a look, None where neither is."""
    first, second = domains
    if transform_between(domains[first], domains[second]):
        return first
    return second if transform_between(domains[second], domains[first]) else None


def nearness_and_cycle(context: "EvaluationContext") -> tuple[Measured, dict[str, str]]:
    """Return how near translations come to the known answers, and images to themselves there and back, and what is missing."""
    model, ways = cast(Translates, context.trained.model), directions(context)
    metrics: Measured = {}
    total = sum(len(way.images) * (1 if way.answers is None else 2) for way in ways)
    with context.progress.task("translating", total, "images") as meter:
        for way in ways:
            metrics |= nearness(model, way, meter) if way.answers is not None else {}
            metrics |= cycle(model, way, meter)
    unknown = "the right answers are unknown: neither domain is the other one through a look"
    missing = {f"translation_psnr_db_to_{way.to}": unknown for way in ways if way.answers is None}
    return metrics, missing


# --- classes that survive


def judged(context: "EvaluationContext") -> list[Direction]:
    """Return the directions in which classes should survive: to the original of a look, else both; none where nobody can say."""
    domains = context.trained.dataset.domains
    if why_not_judged(context):
        return []
    original = _original(domains)
    return [way for way in directions(context) if original in (None, way.to)]


def why_not_judged(context: "EvaluationContext") -> str:
    """Return why nobody can say whether classes survive, or nothing."""
    domains = context.trained.dataset.domains
    first, second = domains.values()
    if any(context.held_out(data).labels is None or len(data.spec.classes) < 2 for data in (first, second)):
        return "needs images with classes in both domains"
    if first.spec.classes != second.spec.classes:
        return f"{first.name} and {second.name} have other classes"
    if context.settings.extractor == "none":
        return ""
    reasons = (why_not(_judge_name(context, data), data) for data in (first, second))
    return next((reason for reason in reasons if reason), "")


def judges(context: "EvaluationContext") -> list[Extractor]:
    """Return for each direction that is judged a classifier of the domain that it leads to, trained now if it never was."""
    seed, progress = context.settings.extractor_seed, context.progress
    data = [_taught(context, way.to) for way in judged(context)]
    return [load_extractor(_judge_name(context, one), one, seed, progress) for one in data]


def surviving_classes(context: "EvaluationContext") -> tuple[Measured, dict[str, str]]:
    """Return in how many translations the class survives, and what is missing."""
    model, domains = cast(Translates, context.trained.model), context.trained.dataset.domains
    metrics: Measured = {}
    missing: dict[str, str] = {}
    for way, judge in zip(judged(context), judges(context), strict=True):
        real = domains[way.to]
        if judge.classes != real.spec.classes:
            missing[f"translation_accuracy_to_{way.to}"] = f"{judge.name} tells other classes than those of {real.name}"
            continue
        held_out = context.held_out(real)
        with context.progress.task(f"classes in {way.to}", len(way.images) + len(held_out), "images") as meter:
            found = survival(model, way, judge.predictions, held_out, meter)
        facts = {"judge": judge.label, "judge_name": judge.name, "judge_input": judge.network.rule()}
        metrics |= {name: item.under(facts) for name, item in found.items()}
    return metrics, missing


def _judge_name(context: "EvaluationContext", data: Dataset) -> str:
    chosen = context.settings.extractor
    return default_extractor(data.spec) if chosen == "auto" else chosen


def _taught(context: "EvaluationContext", name: str) -> Dataset:
    """Return the data set that a domain's judge learns from: all training images, also where the domains share them out."""
    config = context.trained.run.config.data
    if isinstance(config, DomainsConfig) and config.disjoint:
        return load(config.domain(name), context.progress)
    return context.trained.dataset.domains[name]

"""What an evaluation asks of a model that translates: which answers are known, and who tells the classes that should survive."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from simulacra.core.capabilities import Translates
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.data.settings import DomainsConfig
from simulacra.data.synthetic.transforms import look_between
from simulacra.features.extractor import Extractor
from simulacra.features.loading import default_extractor, load_extractor, why_not
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.translation import Direction, cycle, nearness, survival

if TYPE_CHECKING:
    from simulacra.metrics.context import Subject

Measured = dict[str, Measurement]


def directions(subject: "Subject") -> list[Direction]:
    """Return both directions between two domains; with answers where one of them is the other seen through a look."""
    domains = subject.trained.dataset.domains
    first, second = domains
    known = _original(domains) is not None
    held_out = {name: subject.held_out(data) for name, data in domains.items()}
    return [
        Direction(start, to, held_out[start], held_out[to] if known else None) for start, to in ((first, second), (second, first))
    ]


def _original(domains: Mapping[str, Dataset]) -> str | None:
    """Return the domain of which the other one is a look, None where neither is."""
    first, second = domains
    if look_between(domains[first], domains[second]):
        return first
    return second if look_between(domains[second], domains[first]) else None


def nearness_and_cycle(subject: "Subject") -> tuple[Measured, dict[str, str]]:
    """Return how near translations come to the known answers, and images to themselves there and back, and what is missing."""
    model, ways = cast(Translates, subject.trained.model), directions(subject)
    metrics: Measured = {}
    total = sum(len(way.images) * (1 if way.answers is None else 2) for way in ways)
    with subject.progress.work("translating", total, "images") as meter:
        for way in ways:
            metrics |= nearness(model, way, meter) if way.answers is not None else {}
            metrics |= cycle(model, way, meter)
    unknown = "the right answers are unknown: neither domain is the other one through a look"
    missing = {f"translation_psnr_db_to_{way.to}": unknown for way in ways if way.answers is None}
    return metrics, missing


# --- classes that survive


def judged(subject: "Subject") -> list[Direction]:
    """Return the directions in which classes should survive: to the original of a look, else both; none where nobody can say."""
    domains = subject.trained.dataset.domains
    if why_not_judged(subject):
        return []
    original = _original(domains)
    return [way for way in directions(subject) if original in (None, way.to)]


def why_not_judged(subject: "Subject") -> str:
    """Return why nobody can say whether classes survive, or nothing."""
    domains = subject.trained.dataset.domains
    first, second = domains.values()
    if any(subject.held_out(data).labels is None or len(data.spec.classes) < 2 for data in (first, second)):
        return "needs images with classes in both domains"
    if first.spec.classes != second.spec.classes:
        return f"{first.name} and {second.name} have other classes"
    if subject.settings.extractor == "none":
        return ""
    reasons = (why_not(_judge_name(subject, data), data) for data in (first, second))
    return next((reason for reason in reasons if reason), "")


def judges(subject: "Subject") -> list[Extractor]:
    """Return for each direction that is judged a classifier of the domain that it leads to, trained now if it never was."""
    seed, progress = subject.settings.extractor_seed, subject.progress
    data = [_taught(subject, way.to) for way in judged(subject)]
    return [load_extractor(_judge_name(subject, one), one, seed, progress) for one in data]


def surviving_classes(subject: "Subject") -> tuple[Measured, dict[str, str]]:
    """Return in how many translations the class survives, and what is missing."""
    model, domains = cast(Translates, subject.trained.model), subject.trained.dataset.domains
    metrics: Measured = {}
    missing: dict[str, str] = {}
    for way, judge in zip(judged(subject), judges(subject), strict=True):
        real = domains[way.to]
        if judge.classes != real.spec.classes:
            missing[f"translation_accuracy_to_{way.to}"] = f"{judge.name} tells other classes than those of {real.name}"
            continue
        held_out = subject.held_out(real)
        with subject.progress.work(f"classes in {way.to}", len(way.images) + len(held_out), "images") as meter:
            found = survival(model, way, judge.predictions, held_out, meter)
        facts = {"judge": judge.label, "judge_name": judge.name, "judge_input": judge.network.rule()}
        metrics |= {name: item.under(facts) for name, item in found.items()}
    return metrics, missing


def _judge_name(subject: "Subject", data: Dataset) -> str:
    chosen = subject.settings.extractor
    return default_extractor(data.spec) if chosen == "auto" else chosen


def _taught(subject: "Subject", name: str) -> Dataset:
    """Return the data set that a domain's judge learns from: all training images, also where the domains share them out."""
    config = subject.trained.run.config.data
    if isinstance(config, DomainsConfig) and config.disjoint:
        return load(config.domain(name), subject.progress)
    return subject.trained.dataset.domains[name]

"""Runs side by side: each metric ranked with its intervals, ties where these say so, and no rank across protocols."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulacra.metrics.catalogue import CATALOGUE, entry, settings_of
from simulacra.metrics.result import Measurement

Result = Mapping[str, Any]  # what `evaluate` returns


@dataclass(frozen=True)
class Place:
    """One run's number for one metric; its rank counts the runs that are surely better, so that ties share one."""

    run: str
    measurement: Measurement
    rank: int | None


@dataclass(frozen=True)
class Ranking:
    """One metric over all runs that have it. refused: why it is not ranked, if it is not."""

    metric: str
    places: tuple[Place, ...]
    refused: str = ""

    @property
    def tied(self) -> bool:
        """Whether some runs share a rank."""
        ranks = [place.rank for place in self.places if place.rank is not None]
        return len(set(ranks)) < len(ranks)


def compare(results: Sequence[Result]) -> tuple[Ranking, ...]:
    """Return a ranking for every metric that at least one run has, in the order of the catalogue.

    Two numbers differ where the 95 % interval of their difference, from both intervals as independent, leaves out zero.
    """
    present = {name for result in results for name in result["metrics"]}
    known = [name for name in CATALOGUE if name in present]
    return tuple(_ranking(name, results) for name in (*known, *sorted(present - set(known))))


def _ranking(metric: str, results: Sequence[Result]) -> Ranking:
    having = [result for result in results if metric in result["metrics"]]
    measured = [Measurement.of(result["metrics"][metric]) for result in having]
    names = [str(result["run"]) for result in having]
    refused = _refusal(metric, having, measured)
    if refused or entry(metric).better == "neither":
        return Ranking(metric, tuple(Place(name, item, None) for name, item in zip(names, measured, strict=True)), refused)
    ranks = [1 + sum(surely_better(other, item, entry(metric).better == "smaller") for other in measured) for item in measured]
    places = [Place(*facts) for facts in zip(names, measured, ranks, strict=True)]
    return Ranking(metric, tuple(sorted(places, key=lambda place: place.rank or 0)))


def surely_better(first: Measurement, second: Measurement, smaller: bool) -> bool:
    """Return whether the first number is better by more than both errors together explain."""
    low, high = (first, second) if smaller else (second, first)
    reach = math.hypot(low.bounds[1] - low.value, high.value - high.bounds[0])
    return high.value - low.value > reach


def _refusal(metric: str, having: Sequence[Result], measured: Sequence[Measurement]) -> str:
    """Return which settings differ between the runs' numbers, in words; empty where they can be compared."""
    facts = [_conditions(result, item) for result, item in zip(having, measured, strict=True)]
    differing = [
        name
        for name in dict.fromkeys(name for fact in facts for name in fact)
        if len({_key(fact.get(name)) for fact in facts}) > 1
    ]
    words = [
        f"{name.replace('_', ' ')} ({' / '.join(dict.fromkeys(_shown(fact.get(name)) for fact in facts))})" for name in differing
    ]
    return "measured differently: " + "; ".join(words) if words else ""


def _conditions(result: Result, item: Measurement) -> dict[str, Any]:
    data = result["data"]
    return {"data": f"{data['name']} {data['digest'][:12]}", "split": data["split"], "n": item.n, **settings_of(item.protocol)}


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    return "not stated" if value is None else str(value)

"""Ranking of runs: each metric is ranked with its intervals, with ties, and only where the protocols are equal."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulacra.metrics import conditions, in_table_order, quantity
from simulacra.metrics.metric import Better
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.label_shares import CLASS_SHARES

Result = Mapping[str, Any]  # the result of `evaluate`
Differences = Mapping[str, Mapping[str, tuple[str, ...]]]  # condition -> value as text -> names of the runs with it

_DIGITS = 8  # of a digest in messages
_SIZE = "height x width x channels"  # not part of the digest of the data, which is that of the source
_OF_EXTRACTORS = ("extractor", "extractor_name", "extractor_seed", "extractor_sha256")  # of these, only the digest is compared


@dataclass(frozen=True)
class Place:
    """One run's number for one metric.

    rank: 1 + the number of runs that are significantly better, None where the metric is not ranked; ties: the runs from which it
    does not differ significantly.
    """

    run: str
    measurement: Measurement
    rank: int | None = None
    ties: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """One metric of all runs that have it, the best first where they are ranked, else in the order given.

    differs: the conditions that were not equal, because of which the numbers are not ranked.
    """

    metric: str
    places: tuple[Place, ...]
    differs: Differences = field(default_factory=dict)

    @property
    def better(self) -> Better:
        """The direction of improvement."""
        return quantity(self.metric).better

    @property
    def refused(self) -> str:
        """The reason why the numbers are not ranked; empty where they are comparable."""
        reasons = []
        for name, values in self.differs.items():
            texts = " / ".join(f"{value}: {', '.join(runs)}" for value, runs in values.items())
            reasons.append(f"{name.replace('_', ' ')} ({texts})")
        return f"measured differently: {'; '.join(reasons)}" if reasons else ""

    @property
    def ranked(self) -> bool:
        """Whether there are ranks."""
        return any(place.rank is not None for place in self.places)

    @property
    def exact(self) -> bool:
        """Whether the numbers are counts without an error, so that any difference decides the rank."""
        return self.ranked and all(low == high for low, high in (place.measurement.bounds for place in self.places))

    def of(self, run: str) -> Place | None:
        """Return the place of a run; None where it lacks the metric."""
        return next((place for place in self.places if place.run == run), None)


def compare(results: Mapping[str, Result]) -> tuple[Ranking, ...]:
    """Return a ranking for every number that at least one of the named results has, in the order of tables.

    Two numbers differ significantly where the 95 % interval of their difference, for independent errors, excludes zero. Ties are
    not transitive: of three runs in a row, each may tie with the next while the first is significantly better than the last.
    """
    present = {name for result in results.values() for name in result["metrics"]}
    return tuple(_ranking(name, results) for name in in_table_order(present))


def significantly_better(first: Measurement, second: Measurement, better: Better) -> bool:
    """Return whether the first number is better at the 5 % level, by the two intervals (Zou & Donner 2008).

    The margins of both values in the direction of the other are combined as the root of the sum of squares: for normal intervals
    this is the usual test of a difference of means, and asymmetric intervals keep their shape.
    """
    if better == "neither":
        return False
    low, high = (first, second) if better == "smaller" else (second, first)
    reach = math.hypot(max(low.bounds[1] - low.value, 0.0), max(high.value - high.bounds[0], 0.0))
    return high.value - low.value > reach


def refusals(rankings: Sequence[Ranking]) -> dict[str, list[str]]:
    """Return the reasons why numbers are not ranked, each with the names of the metrics."""
    found: dict[str, list[str]] = {}
    for ranking in rankings:
        if ranking.refused:
            found.setdefault(ranking.refused, []).append(ranking.metric)
    return found


def _ranking(metric: str, results: Mapping[str, Result]) -> Ranking:
    having = {run: result for run, result in results.items() if metric in result["metrics"]}
    measured = {run: Measurement.of(result["metrics"][metric]) for run, result in having.items()}
    differs = _differences({run: _conditions(metric, result, measured[run]) for run, result in having.items()})
    better = quantity(metric).better
    if differs or better == "neither" or len(having) < 2:
        return Ranking(metric, tuple(Place(run, item) for run, item in measured.items()), differs)
    sign = 1 if better == "smaller" else -1
    places = []
    for run, own in measured.items():
        above = [name for name, item in measured.items() if significantly_better(item, own, better)]
        below = [name for name, item in measured.items() if significantly_better(own, item, better)]
        ties = tuple(name for name in measured if name not in (run, *above, *below))
        places.append(Place(run, own, 1 + len(above), ties))
    return Ranking(metric, tuple(sorted(places, key=lambda place: (place.rank, sign * place.measurement.value))))


# --- what must be equal

_Fact = tuple[str, str]  # a value that must be equal between two runs, as a key to compare and as text
_UNSTATED: _Fact = ("", "not stated")


def _conditions(metric: str, result: Result, item: Measurement) -> dict[str, _Fact]:
    """Return all values that must be equal between two runs whose numbers are compared; data and extractors by their digests."""
    data, protocol = result["data"], conditions(metric, item.protocol)
    found = {"data": (data["digest"], f"{data['name']} {data['digest'][:_DIGITS]}")}
    if "extractor_sha256" in protocol:
        seed = f", seed {protocol['extractor_seed']}" if "extractor_seed" in protocol else ""
        text = f"{protocol.get('extractor_name', 'extractor')}{seed}, {protocol['extractor']}"
        found["extractor"] = (protocol["extractor_sha256"], text)
        protocol = {name: value for name, value in protocol.items() if name not in _OF_EXTRACTORS}
    protocol = {name: value for name, value in protocol.items() if name != CLASS_SHARES}  # unconditional models state none
    plain = {_SIZE: "x".join(map(str, data["shape"])), "split": data["split"], "n": item.n, **protocol}
    return found | {name: (json.dumps(value, sort_keys=True), _text(value)) for name, value in plain.items()}


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _differences(facts: Mapping[str, Mapping[str, _Fact]]) -> Differences:
    """Return the conditions in which runs differ. Where the data differ, these alone, since other differences follow."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in dict.fromkeys(name for own in facts.values() for name in own):
        values = {run: own.get(name, _UNSTATED) for run, own in facts.items()}
        if len({key for key, _ in values.values()}) > 1:
            texts = dict.fromkeys(text for _, text in values.values())
            found[name] = {text: tuple(run for run, (_, own) in values.items() if own == text) for text in texts}
    return {name: values for name, values in found.items() if name in ("data", _SIZE)} or found

"""Runs side by side: each metric ranked with its intervals, ties where these say so, and no rank across protocols."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulacra.metrics.catalogue import CATALOGUE, Better, entry, settings_of
from simulacra.metrics.measurement import Measurement

Result = Mapping[str, Any]  # what `evaluate` returns
Differences = Mapping[str, Mapping[str, tuple[str, ...]]]  # setting -> value, as shown -> names of the runs that have it

_DIGITS = 8  # of a digest that are shown
_SIZE = "height x width x channels"  # which the digest of the data leaves open: it is that of the source
_OF_EXTRACTORS = ("extractor", "extractor_name", "extractor_seed", "extractor_sha256")  # of these the digest decides


@dataclass(frozen=True)
class Place:
    """One run's number for one metric.

    rank: 1 + the runs that are surely better, None where nothing is ranked; ties: the runs that it cannot be told from.
    """

    run: str
    measurement: Measurement
    rank: int | None = None
    ties: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """One metric over all runs that have it, the best first where they are ranked, else in the order given.

    differs: the settings that forbid a ranking, because the numbers were measured with different ones.
    """

    metric: str
    places: tuple[Place, ...]
    differs: Differences = field(default_factory=dict)

    @property
    def better(self) -> Better:
        """Which way the metric is better."""
        return entry(self.metric).better

    @property
    def refused(self) -> str:
        """Why the numbers are not ranked, in words; empty where they can be compared."""
        if not self.differs:
            return ""
        return "measured differently: " + "; ".join(_words(name, values) for name, values in self.differs.items())

    @property
    def ranked(self) -> bool:
        """Whether there are ranks."""
        return any(place.rank is not None for place in self.places)

    @property
    def exact(self) -> bool:
        """Whether the numbers are counts without an error, so that the smallest difference makes a rank."""
        return self.ranked and all(low == high for low, high in (place.measurement.bounds for place in self.places))

    def of(self, run: str) -> Place | None:
        """Return a run's place, None where it lacks the metric."""
        return next((place for place in self.places if place.run == run), None)


def compare(results: Mapping[str, Result]) -> tuple[Ranking, ...]:
    """Return a ranking for every metric that at least one of the named results has, in the order of the catalogue.

    Two numbers differ where the 95 % interval of their difference, from both intervals as independent, leaves out zero. To be a
    tie is not transitive: of three runs in a row, each may tie with the next and the first be surely better than the last.
    """
    present = {name for result in results.values() for name in result["metrics"]}
    known = [name for name in CATALOGUE if name in present]
    return tuple(_ranking(name, results) for name in (*known, *sorted(present - set(known))))


def surely_better(first: Measurement, second: Measurement, better: Better) -> bool:
    """Return whether the first number is better by more than both errors together explain (Zou & Donner 2008).

    The distances from either value to the end of its interval that faces the other are added in squares: for normal intervals
    that is the usual test of a difference at 5 %, and intervals that are not symmetric keep their shape.
    """
    if better == "neither":
        return False
    low, high = (first, second) if better == "smaller" else (second, first)
    reach = math.hypot(max(low.bounds[1] - low.value, 0.0), max(high.value - high.bounds[0], 0.0))
    return high.value - low.value > reach


def refusals(rankings: Sequence[Ranking]) -> dict[str, list[str]]:
    """Return why numbers are not ranked, each reason with the metrics that it concerns."""
    found: dict[str, list[str]] = {}
    for ranking in rankings:
        if ranking.refused:
            found.setdefault(ranking.refused, []).append(ranking.metric)
    return found


def _ranking(metric: str, results: Mapping[str, Result]) -> Ranking:
    having = {run: result for run, result in results.items() if metric in result["metrics"]}
    measured = {run: Measurement.of(result["metrics"][metric]) for run, result in having.items()}
    differs = _differences({run: _conditions(result, measured[run]) for run, result in having.items()})
    better = entry(metric).better
    if differs or better == "neither" or len(having) < 2:
        return Ranking(metric, tuple(Place(run, item) for run, item in measured.items()), differs)
    sign = 1 if better == "smaller" else -1
    places = [_place(run, measured, better) for run in measured]
    return Ranking(metric, tuple(sorted(places, key=lambda place: (place.rank, sign * place.measurement.value))))


def _place(run: str, measured: Mapping[str, Measurement], better: Better) -> Place:
    own = measured[run]
    above = [name for name, item in measured.items() if surely_better(item, own, better)]
    below = [name for name, item in measured.items() if surely_better(own, item, better)]
    ties = tuple(name for name in measured if name not in (run, *above, *below))
    return Place(run, own, 1 + len(above), ties)


# --- what must be equal


@dataclass(frozen=True)
class _Condition:
    """What must be equal between two runs, and how it is shown."""

    key: str
    shown: str


def _conditions(result: Result, item: Measurement) -> dict[str, _Condition]:
    """Return all that must be equal between two runs whose numbers are compared. Of data and extractors the digests decide."""
    data, protocol = result["data"], settings_of(item.protocol)
    found = {"data": _Condition(data["digest"], f"{data['name']} {data['digest'][:_DIGITS]}")}
    if "extractor_sha256" in protocol:
        found["extractor"] = _Condition(protocol["extractor_sha256"], _extractor(protocol))
        protocol = {name: value for name, value in protocol.items() if name not in _OF_EXTRACTORS}
    plain = {_SIZE: _by(data["shape"]), "split": data["split"], "n": item.n, **protocol}
    return found | {name: _Condition(json.dumps(value, sort_keys=True), _shown(value)) for name, value in plain.items()}


def _extractor(protocol: Mapping[str, Any]) -> str:
    seed = f", seed {protocol['extractor_seed']}" if "extractor_seed" in protocol else ""
    return f"{protocol.get('extractor_name', 'extractor')}{seed}, {protocol['extractor']}"


def _differences(facts: Mapping[str, Mapping[str, _Condition]]) -> Differences:
    """Return the conditions in which runs differ. Where the images do, these alone: the rest follows from them."""
    names = dict.fromkeys(name for own in facts.values() for name in own)
    found = {name: _by_value(name, facts) for name in names if len({own.get(name, _UNSTATED).key for own in facts.values()}) > 1}
    return {name: values for name, values in found.items() if name in ("data", _SIZE)} or found


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _by_value(name: str, facts: Mapping[str, Mapping[str, _Condition]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for run, own in facts.items():
        shown = own.get(name, _UNSTATED).shown
        found[shown] = (*found.get(shown, ()), run)
    return found


_UNSTATED = _Condition("", "not stated")


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _words(name: str, values: Mapping[str, tuple[str, ...]]) -> str:
    shown = (f"{value}: {', '.join(runs)}" for value, runs in values.items())
    return f"{name.replace('_', ' ')} ({' / '.join(shown)})"

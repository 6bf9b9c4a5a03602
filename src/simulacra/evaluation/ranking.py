"""Ranking of runs: each metric is ranked by significant differences, with ties, and only where the protocols are equal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from torch import Tensor

from simulacra.evaluation.differences import Difference, difference, holm
from simulacra.metrics import conditions, in_table_order, quantity
from simulacra.metrics.metric import Better
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.label_shares import CLASS_SHARES

Result = Mapping[str, Any]  # the result of `evaluate`
Scores = Mapping[str, Mapping[str, Tensor]]  # run -> number -> values of single images
Conditions = Mapping[str, Mapping[str, tuple[str, ...]]]  # condition -> value as text -> names of the runs with it

_DIGITS = 8  # of a digest in messages
_LEAST = 2  # images, without which numbers are not ranked
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

    differs: the conditions that were not equal, because of which the numbers are not ranked; differences: those of all pairs of
    runs where they are ranked.
    """

    metric: str
    places: tuple[Place, ...]
    differs: Conditions = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()

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


def compare(results: Mapping[str, Result], scores: Scores | None = None) -> tuple[Ranking, ...]:
    """Return a ranking for every number that at least one of the named results has, in the order of tables.

    scores: the values of single images, from which differences are paired. A difference is significant at the 5 % level with
    Holm's correction for all pairs of runs and all metrics, so that the probability of finding any difference between equal
    models is at most 5 %. Counts without an error are not tested: they are ranked by their values. Ties are not transitive: of
    three runs in a row, each may tie with the next while the first is significantly better than the last.
    """
    present = {name for result in results.values() for name in result["metrics"]}
    rankings = [_compared(name, results, scores or {}) for name in in_table_order(present)]
    tests = {(one.metric, pair.runs): pair.p_value for one in rankings for pair in one.differences if len({*pair.interval}) > 1}
    significant = holm(tests)
    return tuple(_ranked(one, {runs for metric, runs in significant if metric == one.metric}) for one in rankings)


def refusals(rankings: Sequence[Ranking]) -> dict[str, list[str]]:
    """Return the reasons why numbers are not ranked, each with the names of the metrics."""
    found: dict[str, list[str]] = {}
    for ranking in rankings:
        if ranking.refused:
            found.setdefault(ranking.refused, []).append(ranking.metric)
    return found


def _compared(metric: str, results: Mapping[str, Result], scores: Scores) -> Ranking:
    """Return the numbers of a metric, with the differences of all pairs where they can be compared."""
    having = {run: result for run, result in results.items() if metric in result["metrics"]}
    measured = {
        run: replace(Measurement.of(result["metrics"][metric]), scores=scores.get(run, {}).get(metric))
        for run, result in having.items()
    }
    differs = _differing({run: _conditions(metric, result, measured[run]) for run, result in having.items()})
    places = tuple(Place(run, item) for run, item in measured.items())
    is_single = any(item.n < _LEAST for item in measured.values())  # the error of a single value is unknown
    if differs or is_single or quantity(metric).better == "neither":
        return Ranking(metric, places, differs)
    pairs = combinations(measured, 2)
    return Ranking(metric, places, {}, tuple(difference(pair, *(measured[run] for run in pair)) for pair in pairs))


def _ranked(ranking: Ranking, significant: set[tuple[str, str]]) -> Ranking:
    """Return a ranking with its ranks, from the pairs of runs that differ significantly; counts differ where they are unequal."""
    if not ranking.differences:
        return ranking
    sign = 1 if ranking.better == "smaller" else -1
    pairs = tuple(
        replace(pair, significant=pair.runs in significant or (pair.value != 0 and len({*pair.interval}) == 1))
        for pair in ranking.differences
    )
    orders = {pair.runs: sign * pair.value for pair in pairs if pair.significant}
    worse = [second if order < 0 else first for (first, second), order in orders.items()]
    places = []
    for place in ranking.places:
        apart = {run for runs in orders if place.run in runs for run in runs}
        ties = tuple(one.run for one in ranking.places if one.run not in {place.run, *apart})
        places.append(replace(place, rank=1 + worse.count(place.run), ties=ties))
    places.sort(key=lambda place: (place.rank, sign * place.measurement.value))
    return replace(ranking, places=tuple(places), differences=pairs)


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


def _differing(facts: Mapping[str, Mapping[str, _Fact]]) -> Conditions:
    """Return the conditions in which runs differ. Where the data differ, these alone, since other differences follow."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in dict.fromkeys(name for own in facts.values() for name in own):
        values = {run: own.get(name, _UNSTATED) for run, own in facts.items()}
        if len({key for key, _ in values.values()}) > 1:
            texts = dict.fromkeys(text for _, text in values.values())
            found[name] = {text: tuple(run for run, (_, own) in values.items() if own == text) for text in texts}
    return {name: values for name, values in found.items() if name in ("data", _SIZE)} or found

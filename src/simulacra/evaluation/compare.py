"""Comparison of trained models: their numbers with equal settings, ranked, as JSON and CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simulacra.core.csv_text import csv_text
from simulacra.core.errors import UsageError
from simulacra.core.progress import Progress
from simulacra.evaluation.evaluate import evaluate
from simulacra.evaluation.ranking import Place, Ranking, Result, compare
from simulacra.evaluation.repeats import Repeats, repeats_of
from simulacra.evaluation.result_cache import read_scores
from simulacra.evaluation.settings import require_applicable_to_one
from simulacra.metrics.settings import SharedSettings
from simulacra.runs.opened import OpenedRun, open_run

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Comparison:
    """Runs by short names, the result of `evaluate` for each, and the rankings of their numbers."""

    runs: Mapping[str, OpenedRun]
    results: Mapping[str, Result]
    rankings: tuple[Ranking, ...]

    def table(self) -> dict[str, Any]:
        """Return the comparison, ready for JSON."""
        return {
            "runs": {name: {key: result[key] for key in _FACTS} for name, result in self.results.items()},
            "settings": next(iter(self.results.values()))["settings"],
            "metrics": {ranking.metric: _ranking(ranking) for ranking in self.rankings},
            "repeats": [item.table() for item in self.repeats],
        }

    @property
    def repeats(self) -> tuple[Repeats, ...]:
        """The spread of numbers over runs that differ in the seed of their training alone."""
        return repeats_of({name: run.run.config for name, run in self.runs.items()}, self.rankings)

    def csv(self) -> str:
        """Return one line for every metric of every run, below a header."""
        return csv_text(_COLUMNS, [_line(ranking, place) for ranking in self.rankings for place in ranking.places])


def compare_runs(
    runs: Sequence[Path | str | OpenedRun], settings: SharedSettings, progress: Progress, device: Device = "auto"
) -> Comparison:
    """Evaluate runs with equal settings and rank them. Cached results are not measured again.

    Raises UsageError for fewer than two runs, for a run that is given twice, for a folder that is no run, and for settings that
    apply to none of the models; and the errors of `evaluate`.
    """
    if len(runs) < 2:
        given = f"only {_path(runs[0])}" if runs else "none"
        raise UsageError(f"got {given}, expected two runs or more to compare. 'simulacra evaluate RUN' measures a single one")
    names = labels([_path(run) for run in runs])
    opened = {
        name: run if isinstance(run, OpenedRun) else open_run(run, progress=progress, device=device)
        for name, run in zip(names, runs, strict=True)
    }
    require_applicable_to_one(settings, [run.model for run in opened.values()])
    results, scores = {}, {}
    for number, (name, run) in enumerate(opened.items(), 1):
        progress.message(f"{name} ({number} of {len(opened)})")
        results[name] = evaluate(run, settings, progress)
        scores[name] = read_scores(run.run.evaluations / results[name]["scores"])
    return Comparison(opened, results, compare(results, scores))


def labels(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each folder: its own, preceded by as many parents as distinguish it from folders of the same name.

    Raises UsageError where a folder is given twice.

    >>> labels([Path("runs/a/first"), Path("runs/b/first"), Path("runs/second")])
    ['a/first', 'b/first', 'second']
    """
    whole = [path.resolve() for path in paths]
    if twice := [str(path) for number, path in enumerate(paths) if whole[number] in whole[:number]]:
        raise UsageError(f"{twice[0]} is given twice, expected different runs")
    return [_shortest(path, [other for other in whole if other != path]) for path in whole]


def _shortest(path: Path, others: Sequence[Path]) -> str:
    for depth in range(1, len(path.parts)):
        ending = path.parts[-depth:]
        if all(other.parts[-depth:] != ending for other in others):
            return "/".join(ending)
    return str(path)


def _path(run: Path | str | OpenedRun) -> Path:
    return run.run.path if isinstance(run, OpenedRun) else Path(run)


# --- JSON and CSV

_COLUMNS = ("metric", "run", "value", "standard_error", "low", "high", "n", "better", "rank", "ties", "refused")
_FACTS = ("run", "family", "checkpoint", "data", "training", "not_applicable", "warnings")


def _ranking(ranking: Ranking) -> dict[str, Any]:
    places = [
        {"run": place.run, "rank": place.rank, "ties": list(place.ties), **place.measurement.table()} for place in ranking.places
    ]
    differences = [item.table() for item in ranking.differences]
    return {"better": ranking.better, "refused": ranking.refused or None, "places": places, "differences": differences}


def _line(ranking: Ranking, place: Place) -> tuple[Any, ...]:
    """Return the values of the columns; None is written as an empty field."""
    item, ties = place.measurement, " ".join(place.ties)
    low, high = item.bounds if item.interval or item.standard_error is not None else (None, None)
    own = (item.value, item.standard_error, low, high, item.n)
    return (ranking.metric, place.run, *own, ranking.better, place.rank, ties, ranking.refused)

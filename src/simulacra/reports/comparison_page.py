"""One page on several runs: their numbers with ranks and intervals, their samples side by side, beside real images.

Here the facts are gathered; the words and the looks are in `compare.html.jinja`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from simulacra.core.capabilities import Reconstructs, Samples
from simulacra.core.files import write_text
from simulacra.core.progress import Progress
from simulacra.evaluation.ranking import Ranking, refusals
from simulacra.images.grid import make_folder
from simulacra.metrics import quantity
from simulacra.reports.page import page
from simulacra.reports.report_images import Picture, drawing, grid_size
from simulacra.reports.run_page import duration

if TYPE_CHECKING:
    from simulacra.evaluation.compare import Comparison
    from simulacra.runs.opened import OpenedRun

_COLOURS = 6  # of the style
_ORIGINALS = 32  # test images that are reconstructed, as a square grid shows them in whole rows


@dataclass(frozen=True)
class Cell:
    """One run's number for one metric: value and error as text, its place, and its interval in percent of the row's range."""

    colour: int
    value: str = ""
    error: str = ""
    rank: int | None = None
    ties: tuple[str, ...] = ()
    interval: tuple[float, float, float] | None = None  # low, value, high


@dataclass(frozen=True)
class Column:
    """One run's pictures in a row of them; `absent` says why there is none."""

    run: str
    colour: int
    picture: Picture | None
    absent: str = ""


@dataclass(frozen=True)
class Strip:
    """Pictures of all runs on the same data, and the real images that stand beside them."""

    data: str
    real: Picture
    columns: tuple[Column, ...]


def write_page(comparison: "Comparison", path: Path, progress: Progress) -> Path:
    """Write the page of a comparison and return its path; folders are created. Raises Unwritable."""
    make_folder(path.parent)
    write_text(path, comparison_page(comparison, progress))
    return path


def comparison_page(comparison: "Comparison", progress: Progress) -> str:
    """Return the page. Samples of all runs come from the same noise; a run that cannot sample says so in its place."""
    with progress.task("drawing the comparison", len(comparison.runs), "runs") as meter:
        strips = [_strips(names, comparison) for names in _same_data(comparison)]
        meter.advance(len(comparison.runs))
    rows = [_row(ranking, list(comparison.runs)) for ranking in comparison.rankings]
    content = {
        "heads": [_head(name, number, comparison) for number, name in enumerate(comparison.runs)],
        "rows": rows,
        "spanned": any(cell.interval for row in rows for cell in row["cells"]),
        "refusals": refusals(comparison.rankings),
        "across": 1 + max(len(samples.columns) for samples, _ in strips),
        "samples": [samples for samples, _ in strips],
        "reconstructions": [restored for _, restored in strips if any(column.picture for column in restored.columns)],
        "settings": next(iter(comparison.results.values()))["settings"],
    }
    return page("compare.html.jinja", content)


# --- facts


def _head(name: str, number: int, comparison: "Comparison") -> dict[str, Any]:
    """Return what the page says of one run as a whole."""
    result = comparison.results[name]
    training, data = result["training"], result["data"]
    return {
        "name": name,
        "colour": number % _COLOURS,
        "path": result["run"],
        "family": result["family"],
        "data": data["name"],
        "digest": data["digest"][:8],
        "n": data["n"],
        "split": data["split"],
        "step": result["checkpoint"],
        "parameters": training["parameters"],
        "time": "" if training["seconds"] is None else duration(training["seconds"]),
        "seed": training["seed"],
        "warnings": result["warnings"],
        "missing": result["not_applicable"],
    }


def _row(ranking: Ranking, runs: Sequence[str]) -> dict[str, Any]:
    """Return one metric over all runs."""
    about = quantity(ranking.metric)
    spans = _spans(ranking)
    return {
        "metric": ranking.metric,
        "title": about.title,
        "meaning": about.meaning,
        "better": about.better,
        "differs": [name.replace("_", " ") for name in ranking.differs],
        "exact": ranking.exact,
        "ranked": ranking.ranked,
        "cells": [_cell(ranking, run, number % _COLOURS, spans) for number, run in enumerate(runs)],
    }


def _cell(ranking: Ranking, run: str, colour: int, spans: Mapping[str, tuple[float, float, float]]) -> Cell:
    place = ranking.of(run)
    if place is None:
        return Cell(colour)
    value, _, error = place.measurement.text.partition(" ")
    return Cell(colour, value, error, place.rank, place.ties, spans.get(run))


def _spans(ranking: Ranking) -> dict[str, tuple[float, float, float]]:
    """Return each run's low end, value and high end in percent of the range of all; nothing where they cannot be compared."""
    if ranking.refused or len(ranking.places) < 2:
        return {}
    ends = {
        place.run: (place.measurement.bounds[0], place.measurement.value, place.measurement.bounds[1]) for place in ranking.places
    }
    low, high = min(min(span) for span in ends.values()), max(max(span) for span in ends.values())
    if low == high:
        return {}
    return {run: _percent(span, low, high) for run, span in ends.items()}


def _percent(span: tuple[float, float, float], low: float, high: float) -> tuple[float, float, float]:
    first, middle, last = (round(100 * (end - low) / (high - low), 1) for end in span)
    return first, middle, last


# --- pictures


def _same_data(comparison: "Comparison") -> list[list[str]]:
    """Return the names of the runs, those on the same data together."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, result in comparison.results.items():
        data = result["data"]
        groups.setdefault((data["digest"], *data["shape"]), []).append(name)
    return list(groups.values())


def _strips(names: Sequence[str], comparison: "Comparison") -> tuple[Strip, Strip]:
    """Return the samples and the reconstructions of runs on the same data, each beside real test images."""
    runs = {name: comparison.runs[name] for name in names}
    colours = {name: number % _COLOURS for number, name in enumerate(comparison.runs)}
    first = runs[names[0]]
    real = first.dataset.test.head(64)
    count, across = grid_size(first.spec, real)
    originals = real.images[: min(count, _ORIGINALS)]

    def strip(shown: Tensor, needed: type, words: tuple[str, str], made: Callable[["OpenedRun"], Tensor]) -> Strip:
        columns = (
            Column(name, colours[name], drawing(made(trained), across, f"{words[0]} by {name}"))
            if isinstance(trained.model, needed)
            else Column(name, colours[name], None, f"{type(trained.model).__name__} does not {words[1]}")
            for name, trained in runs.items()
        )
        data = first.dataset.name
        return Strip(data, drawing(shown, across, f"Real test images of {data}"), tuple(columns))

    return (
        strip(real.images[:count], Samples, ("Generated", "sample"), lambda trained: trained.sample(count)),
        strip(originals, Reconstructs, ("Reconstructed", "reconstruct"), lambda trained: trained.reconstruct(originals)),
    )

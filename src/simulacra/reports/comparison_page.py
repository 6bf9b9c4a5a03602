"""The comparison of several runs: its files, and the facts that the template `compare.html.jinja` displays on one page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from simulacra.core.capabilities import Capability, Reconstructs, Samples, supports
from simulacra.core.family import model_condition
from simulacra.core.files import write_text
from simulacra.core.progress import Progress
from simulacra.evaluation.compare import Comparison
from simulacra.evaluation.ranking import Ranking, refusals
from simulacra.images.files import check_form, check_html, make_folder
from simulacra.images.grid import image_grid, overview_count
from simulacra.images.section import overview_grid
from simulacra.metrics import quantity
from simulacra.metrics.context import sampling_plan
from simulacra.reports.page import embed, page
from simulacra.reports.run_page import duration
from simulacra.runs.image_to_image.reconstruction import reconstruct
from simulacra.runs.opened import OpenedRun
from simulacra.runs.sampling import sample

_COLOURS = 6  # of the style sheet
_ORIGINALS = 32  # test images that are reconstructed


Row = dict[str, Any]  # images of all runs on the same data: the data, real images, and columns of run, colour, image, missing


def check_comparison(csv: Path | None, html: Path | None) -> None:
    """Raise UsageError or Unwritable where the files of a comparison cannot be written: before the runs are evaluated."""
    if csv:
        check_form(csv, "the table of --csv", ".csv")
    if html:
        check_html(html)


def write_comparison(comparison: Comparison, csv: Path | None, html: Path | None, progress: Progress) -> list[Path]:
    """Write a comparison as CSV and as a page, where a path is given; return the paths. Raises Unwritable."""
    written = [path for path in (csv, html) if path]
    for path in written:
        make_folder(path.parent)
        write_text(path, comparison.csv() if path is csv else comparison_page(comparison, progress))
    return written


def comparison_page(comparison: Comparison, progress: Progress) -> str:
    """Return the page. Samples of all runs are generated from the same noise."""
    with progress.task("drawing the comparison", len(comparison.runs), "runs") as meter:
        rows_of_images = [_image_rows(names, comparison) for names in _same_data(comparison)]
        meter.advance(len(comparison.runs))
    rows = [_row(ranking, list(comparison.runs)) for ranking in comparison.rankings]
    content = {
        "heads": [_head(name, number, comparison) for number, name in enumerate(comparison.runs)],
        "rows": rows,
        "spanned": any(cell["interval"] for row in rows for cell in row["cells"]),
        "refusals": refusals(comparison.rankings),
        "columns": 1 + max(len(samples["columns"]) for samples, _ in rows_of_images),
        "samples": [samples for samples, _ in rows_of_images],
        "reconstructions": [row for _, row in rows_of_images if any(column["image"] for column in row["columns"])],
        "settings": next(iter(comparison.results.values()))["settings"],
    }
    return page("compare.html.jinja", content)


def _head(name: str, number: int, comparison: Comparison) -> dict[str, Any]:
    """Return the facts of one run as a whole."""
    result = comparison.results[name]
    training, data = result["training"], result["data"]
    time = "" if training["seconds"] is None else duration(training["seconds"])
    return {**result, "name": name, "colour": number % _COLOURS, "data": data, "training": training | {"time": time}}


def _row(ranking: Ranking, runs: Sequence[str]) -> dict[str, Any]:
    """Return one metric over all runs: values and errors as texts, places with ranks, intervals in percent of their range."""
    spans, cells = _spans(ranking), []
    for number, run in enumerate(runs):
        place = ranking.of(run)
        value, _, error = place.measurement.text.partition(" ") if place else ("", "", "")
        facts = {"colour": number % _COLOURS, "place": place, "interval": spans.get(run)}
        cells.append(facts | {"value": value, "error": error})
    return {"ranking": ranking, "about": quantity(ranking.metric), "cells": cells}


def _spans(ranking: Ranking) -> dict[str, tuple[float, float, float]]:
    """Return the lower end, value and upper end of each run in percent of the range of all; empty where they are not ranked."""
    if ranking.refused or len(ranking.places) < 2:
        return {}
    found = {place.run: place.measurement for place in ranking.places}
    ends = {run: (item.bounds[0], item.value, item.bounds[1]) for run, item in found.items()}
    low, high = min(map(min, ends.values())), max(map(max, ends.values()))
    if low == high:
        return {}

    def percent(value: float) -> float:
        return round(100 * (value - low) / (high - low), 1)

    return {run: (percent(first), percent(value), percent(last)) for run, (first, value, last) in ends.items()}


def _same_data(comparison: Comparison) -> list[list[str]]:
    """Return the names of the runs, those on the same data together."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, result in comparison.results.items():
        groups.setdefault((result["data"]["digest"], *result["data"]["shape"]), []).append(name)
    return list(groups.values())


def _image_rows(names: Sequence[str], comparison: Comparison) -> tuple[Row, Row]:
    """Return the samples and the reconstructions of runs on the same data, each beside real test images."""
    runs = {name: comparison.runs[name] for name in names}
    colours = {name: number % _COLOURS for number, name in enumerate(comparison.runs)}
    first, settings = runs[names[0]], comparison.results[names[0]]["settings"]
    shape = first.spec.shape
    real = first.dataset.test.head(max(overview_count(shape), _ORIGINALS))
    count, columns = overview_grid(shape, len(real))
    originals = real.rows(slice(0, min(count, _ORIGINALS)))

    def row(images: Tensor, needed: type[Capability], words: tuple[str, str], made: Callable[[OpenedRun], Tensor]) -> Row:
        def column(name: str, opened: OpenedRun) -> dict[str, Any]:
            facts = {"run": name, "colour": colours[name], "image": None, "missing": ""}
            if not supports(opened.model, needed):
                return facts | {"missing": f"{type(opened.model).__name__} does not {words[1]}"}
            return facts | {"image": embed(image_grid(made(opened), columns), f"{words[0]} by {name}")}

        data = first.dataset.name
        real = embed(image_grid(images, columns), f"Real test images of {data}")
        return {"data": data, "real": real, "columns": [column(*item) for item in runs.items()]}

    def reconstructed(opened: OpenedRun) -> Tensor:
        return reconstruct(opened, originals.images, model_condition(opened.model, originals))

    def sampled(opened: OpenedRun) -> Tensor:
        return sample(opened, count, plan=sampling_plan(opened, settings))

    return (
        row(real.images[:count], Samples, ("Generated", "sample"), sampled),
        row(originals.images, Reconstructs, ("Reconstructed", "reconstruct"), reconstructed),
    )

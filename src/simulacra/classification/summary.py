"""Evaluations of classifiers as JSON, as text, and as a section of the run report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from simulacra.classification.chart import Bar, accuracy_chart
from simulacra.classification.confusion import confusion_image
from simulacra.classification.evaluation import Row
from simulacra.classification.problem import ALL
from simulacra.images.section import Figure, ReportSection
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.opened import OpenedRun
from simulacra.runs.provenance import now

_ORDER = 70  # of the section of the report


def evaluation_content(opened: OpenedRun, rows: Sequence[Row], labels: str, seed: int, notes: list[str]) -> dict[str, Any]:
    """Return the evaluation, ready for JSON: the metrics of the methods by their names, and all rows."""
    metrics = {f"{row.name.replace('-', '_')}_accuracy": row.metrics["accuracy"] for row in rows if not row.baseline}
    calibration = {name: value for name, value in rows[0].metrics.items() if name != "accuracy"}
    return {
        "metrics": {name: item.table() for name, item in {**metrics, **calibration}.items()},
        "rows": {row.name: row.table() for row in rows},
        "classes": list(opened.spec.classes),
        "labels": labels,
        "splits": len(rows[0].outcomes),
        "seed": seed,
        "step": opened.step,
        "weights": opened.digest,
        "measured": now(),
        "notes": notes,
    }


def _line(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return title, accuracy in percent, and calibration error in percent before and after, of a row of JSON."""
    found = {key: Measurement.of(item) for key, item in row["metrics"].items()}
    accuracy, after, before = found["accuracy"], found["calibration_error"], found["calibration_error_uncalibrated"]
    kind = " (baseline)" if row["baseline"] else ""
    return f"{row['title']}{kind}", _percent(accuracy), f"{100 * before.value:.1f}", f"{100 * after.value:.1f}"


def _percent(found: Measurement) -> str:
    low, high = found.bounds
    return f"{100 * found.value:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def evaluation_text(content: Mapping[str, Any]) -> str:
    """Return a table of the rows of an evaluation: accuracy and calibration error in percent."""
    lines = [_line(row) for row in content["rows"].values()]
    titles = ("method", "accuracy, %", "calibration error, %", "after temperature scaling")
    widths = [max(len(line[column]) for line in (titles, *lines)) for column in range(4)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in (titles, *lines)
    )


def evaluation_section(opened: OpenedRun) -> ReportSection | None:
    """Return the newest evaluation of these weights; None without one."""
    found = [content for path in opened.run.classification.glob("evaluation_*.json") if (content := _read(path))]
    current = [content for content in found if content["weights"] == opened.digest]
    if not current:
        return None
    newest = max(current, key=lambda content: content["measured"])
    rows = newest["rows"]
    first = next(iter(rows.values()))
    known = f"{newest['labels']} labelled training images, {newest['splits']} splits" if newest["labels"] != ALL else "all labels"
    text = (
        f"Accuracy on test images of classifiers with {known}; in parentheses the 95 % interval. Baselines use the same labels.",
        *(
            f"{title}: {accuracy} %; calibration error {before} %, {after} % after temperature scaling."
            for title, accuracy, before, after in (_line(row) for row in rows.values())
        ),
        *newest["notes"],
        f"Confusion matrix of the {first['title']}: rows are true classes, columns predicted ones, counts over all splits.",
    )
    confusion = confusion_image(torch.tensor(first["confusion"]), tuple(newest["classes"]))
    chart = accuracy_chart([_bar(row) for row in rows.values()])
    figures = (Figure(chart, "accuracy of each method"), Figure(confusion, f"confusion matrix of the {first['title']}"))
    return ReportSection("Classification", _ORDER, text, tuple((figure,) for figure in figures))


def _bar(row: Mapping[str, Any]) -> Bar:
    accuracy = Measurement.of(row["metrics"]["accuracy"])
    return Bar(row["title"], accuracy.value, *accuracy.bounds, row["baseline"])


def _read(path: Path) -> dict[str, Any] | None:
    """Return a stored evaluation; None where the file is damaged or is of another format."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        used = ("rows", "labels", "splits", "classes", "weights", "measured", "notes")
        return content if all(name in content for name in used) and content["rows"] else None
    except (OSError, ValueError, TypeError):
        return None

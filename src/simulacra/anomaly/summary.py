"""Evaluations of anomaly detection as text, and as a section of the run report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from simulacra.anomaly.pictures import MISTAKES
from simulacra.anomaly.scores import scores
from simulacra.images.section import Figure, ReportSection
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.opened import OpenedRun


def evaluation_text(content: dict[str, Any], path: Path) -> str:
    """Return a table of the AUROC and of the detected anomalies of each kind; path: the drawing of the mistakes."""
    calibration, tables = content["calibration"], [content["metrics"], *content["baselines"].values()]
    low, high = calibration["true_rate_interval"]
    rows = [["anomalies", content["score"], *content["baselines"]]]
    rows += [[kind, *(_cell(table[kind]) for table in tables)] for kind in content["metrics"]]
    alarms = (Measurement.of(next(iter(table.values()))["false_positive_rate"]) for table in tables)
    rows.append(["false positives", *map(_count, alarms)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        [
            "AUROC; anomalies detected at the calibrated threshold (95 % interval of the rate)",
            *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
            f"thresholds from {calibration['calibration_images']:,} validation images for a false-positive rate of "
            f"{calibration['false_positive_rate']:g}; 95 % interval of the rate {low:.4f} to {high:.4f}",
            f"false alarms, then missed anomalies of each kind, in {path}; all numbers in {content['path']}",
        ]
    )


def _cell(numbers: dict[str, Any]) -> str:
    pixels = f", pixels {numbers['pixel_auroc']['value']:.3f}" if "pixel_auroc" in numbers else ""
    return f"{numbers['auroc']['value']:.3f}{pixels}; {_count(Measurement.of(numbers['true_positive_rate']))}"


def _count(rate: Measurement) -> str:
    low, high = rate.bounds
    return f"{rate.protocol['count']}/{rate.n} ({low:.3f}-{high:.3f})"


def evaluation_section(opened: OpenedRun, content: Mapping[str, Any]) -> ReportSection:
    """Return the section of a stored evaluation, with the drawing of the mistakes where it can be read."""
    names = ", ".join(f"{name} ({scores()[name].summary.removeprefix('baseline: ')})" for name in content["baselines"])
    first = (
        f"Normal test images against anomalies, by the score {content['score']}. An AUROC of 0.5 is that of chance, 1 separates "
        f"all images. Thresholds are from validation images, for a false-positive rate of "
        f"{content['calibration']['false_positive_rate']:g}. Baselines: {names}."
    )
    text = [first, *(_sentence(content, kind) for kind in content["metrics"])]
    if content["weights_sha256"] != opened.digest:
        text.insert(0, "The run has been trained further since this evaluation: run 'simulacra detect evaluate' again.")
    path = Path(content["mistakes"])
    inside = opened.run.images / path.name  # the run may have been moved
    path = inside if path.parent.name == inside.parent.name and path.name.startswith(MISTAKES) else path
    try:
        with Image.open(path) as image:
            drawn = image.copy()
    except (OSError, SyntaxError):
        return ReportSection("Anomaly detection", 18, tuple(text))
    label = f"False alarms in the first row, then missed anomalies: {', '.join(content['metrics'])}"
    return ReportSection("Anomaly detection", 18, tuple(text), ((Figure(drawn, label, label),),))


def _sentence(content: Mapping[str, Any], kind: str) -> str:
    own = content["metrics"][kind]
    others = ", ".join(f"{name} {numbers[kind]['auroc']['value']:.3f}" for name, numbers in content["baselines"].items())
    pixels = f", of pixels {Measurement.of(own['pixel_auroc']).text}" if "pixel_auroc" in own else ""
    hits, alarms = (_count(Measurement.of(own[name])) for name in ("true_positive_rate", "false_positive_rate"))
    areas = f"AUROC {Measurement.of(own['auroc']).text}{pixels} ({others})"
    return f"{kind}: {areas}; {hits} anomalies detected, {alarms} normal images called anomalous."

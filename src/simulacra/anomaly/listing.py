"""Scores of single images: p-values and verdicts, one line for each file, as text, CSV or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from simulacra.anomaly.calibration import Calibration
from simulacra.data.source import Skip
from simulacra.images.files import write_table

COLUMNS = ("file", "score", "p_value", "verdict", "problem")


@dataclass(frozen=True)
class Line:
    """One file: its score, its p-value among normal images, and the verdict: normal, anomalous or unreadable."""

    file: str
    score: float | None
    p_value: float | None
    verdict: str
    problem: str = ""


def lines_of(names: Sequence[str], values: Tensor, calibration: Calibration, unreadable: Sequence[Skip]) -> tuple[Line, ...]:
    """Return the lines of scored images in their order, then those of unreadable files."""
    columns = (values.tolist(), calibration.p_values(values).tolist(), calibration.anomalous(values).tolist())
    scored = (
        Line(name, value, p_value, "anomalous" if hit else "normal")
        for name, value, p_value, hit in zip(names, *columns, strict=True)
    )
    return (*scored, *(Line(item.name, None, None, "unreadable", item.reason) for item in unreadable))


def write_lines(lines: Sequence[Line], path: Path, facts: Mapping[str, Any]) -> None:
    """Write lines as CSV, or as JSON together with facts; raises Unwritable."""
    content = [asdict(line) for line in lines]
    write_table(path, COLUMNS, [tuple(line.values()) for line in content], {**facts, "images": content})


def as_text(lines: Sequence[Line]) -> str:
    """Return one line of text for each file."""
    width = max(len(line.file) for line in lines)
    return "\n".join(
        f"{line.file:<{width}}  {line.verdict}: {line.problem}"
        if line.score is None or line.p_value is None
        else f"{line.file:<{width}}  {line.score:>12.6g}  p {line.p_value:<9.4g}  {line.verdict}"
        for line in lines
    )

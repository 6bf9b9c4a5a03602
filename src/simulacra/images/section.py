"""Sections of the run report: what a metric or an application contributes to the page of a run."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Figure:
    """One image of a report, the text that describes it to screen readers, and a label beside it."""

    image: Image.Image
    alt: str
    label: str = ""


@dataclass(frozen=True)
class ReportSection:
    """One section of the run report.

    title: the heading; order: sections are sorted by it, ascending; text: paragraphs of plain text above the figures; rows:
    figures, those of one row side by side; missing: why there are no figures, shown in their place.
    """

    title: str
    order: int
    text: tuple[str, ...] = ()
    rows: tuple[tuple[Figure, ...], ...] = ()
    missing: str = ""

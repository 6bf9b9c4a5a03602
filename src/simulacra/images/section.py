"""Sections of the run report: what a metric or an application contributes to the page of a run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from simulacra.core.batch import DataSpec
from simulacra.images.grid import GAP, are_points, enlargement, overview_count

_WIDTH = 1040  # pixels of a grid, at most


@dataclass(frozen=True)
class Figure:
    """One image of a report, its description for screen readers, and a label above it. image: None displays the label alone."""

    image: Image.Image | None
    alt: str
    label: str = ""


@dataclass(frozen=True)
class ReportSection:
    """One section of the run report.

    title: the heading; order: sections are sorted by it, ascending; text: paragraphs of plain text above the figures; rows:
    figures, those of one row side by side; bars: values of a bar chart below the text, in the unit `bar_unit`; missing: why there
    are no figures, displayed in their place.
    """

    title: str
    order: int
    text: tuple[str, ...] = ()
    rows: tuple[tuple[Figure, ...], ...] = ()
    missing: str = ""
    bars: tuple[float, ...] = ()
    bar_unit: str = ""

    @property
    def anchor(self) -> str:
        """The identifier of the section in the page.

        >>> ReportSection("Real and generated images", 1).anchor
        'real-and-generated-images'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def overview_grid(shape: Sequence[int], available: int) -> tuple[int, int]:
    """Return the number of images of a shape [c h w] in a square overview, at most `available`, and that of its columns."""
    columns = columns_for(shape, 8)
    count = min(columns**2, overview_count(shape), available)
    return (count // columns * columns, columns) if count >= columns else (count, count)


def largest_shape(spec: DataSpec) -> tuple[int, int, int]:
    """Return the shape [c h w] of images as large as those of every domain, which is that of grids of all of them."""
    specs = (spec, *spec.domains.values())
    return max(item.channels for item in specs), max(item.height for item in specs), max(item.width for item in specs)


def columns_for(shape: Sequence[int], most: int) -> int:
    """Return the number of columns of a grid of images of a shape [c h w], at most `most`; of points, half of an overview."""
    if are_points(shape):
        return overview_count(shape) // 2
    _, height, width = shape
    return max(2, min(most, _WIDTH // (enlargement(height, width) * width + GAP)))

"""Figures and sections as parts of a page: images are PNG data inside the HTML."""

import base64
from dataclasses import dataclass

from PIL import Image

from simulacra.images.files import png_bytes
from simulacra.images.section import Figure, ReportSection

_WIDTH = 1200  # pixels of all images of a row; wider ones are shrunk


@dataclass(frozen=True)
class EmbeddedImage:
    """An image inside the page: a data URI, its size in pixels, its description, and a label."""

    source: str
    width: int
    height: int
    alt: str
    label: str = ""


@dataclass(frozen=True)
class EmbeddedSection:
    """A section of a page; a cell of a row is an image, or the label of an image that does not exist."""

    title: str
    anchor: str
    text: tuple[str, ...]
    rows: tuple[tuple[EmbeddedImage | str, ...], ...]
    missing: str
    bars: tuple[float, ...]
    bar_unit: str


def embed(image: Image.Image, alt: str, label: str = "", columns: int = 1) -> EmbeddedImage:
    """Return an image as part of the page, shrunk where it is wider than one of `columns` parts of a row."""
    widest = _WIDTH // columns
    if image.width > widest:
        image = image.resize((widest, round(image.height * widest / image.width)), Image.Resampling.LANCZOS)
    source = "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()
    return EmbeddedImage(source, image.width, image.height, alt, label)


def embed_section(section: ReportSection) -> EmbeddedSection:
    """Return a section as part of the page."""
    rows = tuple(tuple(_cell(figure, len(row)) for figure in row) for row in section.rows)
    return EmbeddedSection(section.title, section.anchor, section.text, rows, section.missing, section.bars, section.bar_unit)


def _cell(figure: Figure, columns: int) -> EmbeddedImage | str:
    """Return a figure as part of the page: of a pair at most half of the width, since rows of three or more share it by size."""
    if figure.image is None:
        return figure.label
    return embed(figure.image, figure.alt, figure.label, columns if columns == 2 else 1)

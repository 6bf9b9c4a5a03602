"""Pages: self-contained HTML files from the templates in this package, with images as PNG data."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image

from simulacra.images.files import png_bytes
from simulacra.images.section import Figure

if TYPE_CHECKING:
    from jinja2 import Environment

_WIDTH = 1200  # pixels of all images of a row; wider ones are shrunk


@dataclass(frozen=True)
class EmbeddedImage:
    """An image inside the page: a data URI, its size in pixels, its description, and a label."""

    source: str
    width: int
    height: int
    alt: str
    label: str = ""


def page(template: str, content: Mapping[str, Any]) -> str:
    """Return a page; the content is escaped, and a missing name raises an error."""
    return _templates().get_template(template).render(content)


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("simulacra", "reports/templates")
    place = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    place.filters["embedded"] = _embedded_row
    return place


def embed(image: Image.Image, alt: str, label: str = "", columns: int = 1) -> EmbeddedImage:
    """Return an image as part of the page, shrunk where it is wider than one of `columns` parts of a row."""
    widest = _WIDTH // columns
    if image.width > widest:
        image = image.resize((widest, round(image.height * widest / image.width)), Image.Resampling.LANCZOS)
    source = "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()
    return EmbeddedImage(source, image.width, image.height, alt, label)


def _embedded_row(row: Sequence[Figure]) -> list[EmbeddedImage | str]:
    """Return the figures of a row as parts of the page, and the labels of those without an image.

    Each of a pair takes at most half of the width; rows of three or more share it by size.
    """
    columns = 2 if len(row) == 2 else 1
    return [item.label if item.image is None else embed(item.image, item.alt, item.label, columns) for item in row]

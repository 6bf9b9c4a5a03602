"""A map as a static image: points in the colours and shapes of their values, with a legend."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from simulacra.maps.coloring import Coloring
from simulacra.maps.latent_map import LatentMap
from simulacra.maps.palette import Shape, marker, scale
from simulacra.maps.projection import NAMES

_FINE = 3  # points are drawn this many times larger, and the image is made smaller at the end
_MARGIN, _LEGEND, _ROW, _HEADING = 14, 170, 22, 34  # pixels
_RADIUS = 3.6  # pixels of a point in a map of few points
_EDGE, _INK, _FRAME = "#3a3d42", "#1c1e22", "#c9c6bf"
_MOST_ROWS = 30
_OUTLINES: dict[Shape, tuple[tuple[float, float], ...]] = {
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "triangle": ((0, -1.15), (1.05, 0.75), (-1.05, 0.75)),
    "inverted": ((0, 1.15), (1.05, -0.75), (-1.05, -0.75)),
    "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
}
_Drawing = ImageDraw.ImageDraw


def maps_picture(found: LatentMap, coloring: Coloring, side: int = 640) -> Image.Image:
    """Return the maps of latents side by side, each with its trustworthiness, as an RGB image. side: pixels of a map."""
    titles = [f"{NAMES[item.method]} (trustworthiness {measured.trustworthiness:.3f})" for item, measured in found.maps]
    return scatter([(title, item.coordinates) for title, (item, _) in zip(titles, found.maps, strict=True)], coloring, side)


def scatter(maps: Sequence[tuple[str, NDArray[np.float64]]], coloring: Coloring, side: int = 640) -> Image.Image:
    """Return maps side by side with one legend, as an RGB image. maps: titles and coordinates [n 2]; side: pixels of a map."""
    panels = len(maps)
    width, height = panels * (side + _MARGIN) + _MARGIN + _LEGEND, side + _HEADING + _MARGIN
    fine = Image.new("RGB", (width * _FINE, height * _FINE), "white")
    draw = ImageDraw.Draw(fine)
    for at, (title, coordinates) in enumerate(maps):
        left = _MARGIN + at * (side + _MARGIN)
        _text(draw, (left, 8), title)
        draw.rectangle(_scaled((left, _HEADING, left + side, _HEADING + side)), outline=_FRAME, width=_FINE)
        _draw_points(draw, placed(coordinates, side, (left, _HEADING)), coloring, side)
    _draw_legend(draw, coloring, (width - _LEGEND, _HEADING))
    return fine.resize((width, height), Image.Resampling.LANCZOS)


def placed(coordinates: NDArray[np.float64], side: int, corner: tuple[int, int]) -> NDArray[np.float64]:
    """Return coordinates [n 2] as pixels of a square: one scale for both axes, the second upwards, centred, with a border."""
    low, high = coordinates.min(0), coordinates.max(0)
    extent = float((high - low).max()) or 1.0
    moved = (coordinates - (low + high) / 2) / extent * 0.94
    found: NDArray[np.float64] = (moved * (1, -1) + 0.5) * side + corner
    return found


def _draw_points(draw: _Drawing, pixels: NDArray[np.float64], coloring: Coloring, side: int) -> None:
    """Draw points in a shuffled order, so that no category hides the others."""
    radius = _RADIUS * min(1.0, (1500 / len(pixels)) ** 0.25) * side / 640
    colours = coloring.colours()
    for point in np.random.default_rng(0).permutation(len(pixels)).tolist():
        shape = marker(int(coloring.values[point]))[1] if coloring.categories else "circle"
        x, y = pixels[point].tolist()
        _draw_marker(draw, (x, y), radius, colours[point], shape)


def _draw_marker(draw: _Drawing, at: tuple[float, float], radius: float, colour: str, shape: Shape) -> None:
    x, y = at
    if shape == "circle":
        box = _scaled((x - radius, y - radius, x + radius, y + radius))
        draw.ellipse(box, fill=colour, outline=_EDGE)
    else:
        outline = [(round((x + radius * right) * _FINE), round((y + radius * down) * _FINE)) for right, down in _OUTLINES[shape]]
        draw.polygon(outline, fill=colour, outline=_EDGE)


def _draw_legend(draw: _Drawing, coloring: Coloring, corner: tuple[int, int]) -> None:
    left, top = corner
    _text(draw, (left, 8), coloring.title)
    if not coloring.categories:
        low, high = coloring.limits
        _draw_scale(draw, (left, top + 8), (f"{high:.3g}", f"{low:.3g}"))
        return
    for row, name in enumerate(coloring.categories[:_MOST_ROWS]):
        middle = top + row * _ROW + _ROW // 2
        _draw_marker(draw, (left + 6, middle), 5, *marker(row))
        _text(draw, (left + 18, middle - 8), name)
    if (more := len(coloring.categories) - _MOST_ROWS) > 0:
        _text(draw, (left, top + _MOST_ROWS * _ROW), f"and {more} more")


def _draw_scale(draw: _Drawing, corner: tuple[int, int], ends: tuple[str, str], height: int = 200) -> None:
    left, top = corner
    for row, colour in enumerate(scale(np.linspace(1, 0, height))):
        draw.rectangle(_scaled((left, top + row, left + 18, top + row + 1)), fill=colour)
    for end, down in zip(ends, (0, height - 16), strict=True):
        _text(draw, (left + 26, top + down), end)


def _text(draw: _Drawing, at: tuple[int, int], text: str, size: int = 15, most: int = 70) -> None:
    """Write a text, shortened to `most` letters."""
    short = text if len(text) <= most else text[: most - 1] + "\u2026"
    draw.text((at[0] * _FINE, at[1] * _FINE), short, _INK, font=ImageFont.load_default(size * _FINE))


def _scaled(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(edge * _FINE) for edge in box)
    return left, top, right, bottom

"""Colours and shapes of points that people with any colour vision can distinguish."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = Literal["circle", "square", "triangle", "diamond", "inverted"]
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#707070")
"""Seven colours of Okabe & Ito (2008), and grey instead of their black, which a dark background would hide."""
SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "diamond", "inverted")
_SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))  # viridis (van der Walt & Smith 2015)


def marker(category: int) -> tuple[str, Shape]:
    """Return the colour and the shape of a category; the first 40 pairs differ, since 8 and 5 have no common divisor.

    >>> marker(0), marker(9)
    (('#0072b2', 'circle'), ('#e69f00', 'inverted'))
    """
    return COLOURS[category % len(COLOURS)], SHAPES[category % len(SHAPES)]


def scale(positions: NDArray[np.float64]) -> list[str]:
    """Return colours of positions in [0, 1], from dark blue to yellow with ascending lightness.

    >>> scale(np.array([0.0, 1.0]))
    ['#440154', '#fde725']
    """
    at = np.linspace(0, 1, len(_SCALE))
    channels = [np.interp(positions, at, [colour[channel] for colour in _SCALE]) for channel in range(3)]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.rint(channels).astype(int).T.tolist()]

"""Colours and shapes: distinguishable with any colour vision."""

from itertools import combinations

import numpy as np

from simulacra.maps.palette import COLOURS, SHAPES, marker, scale

# linear RGB as people with protanopia, deuteranopia and tritanopia see it (Machado et al. 2009, severity 1)
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
DIFFERENT = 10  # in CIE 1976 units; 2.3 is a just noticeable difference


def lab(colour, vision):
    """Return the CIE L*a*b* coordinates of a colour #rrggbb."""
    levels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    linear = (vision @ linear).clip(0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ linear / (0.9505, 1, 1.089)
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def test_every_two_categories_differ_in_shape_or_in_colour_for_any_vision():
    for name, vision in VISIONS.items():
        seen = {colour: lab(colour, vision) for colour in COLOURS}
        for one, other in combinations(map(marker, range(40)), 2):
            assert one[1] != other[1] or np.linalg.norm(seen[one[0]] - seen[other[0]]) > DIFFERENT, (name, one, other)


def test_forty_categories_have_their_own_marker_and_then_they_repeat():
    assert len({marker(category) for category in range(40)}) == len(COLOURS) * len(SHAPES) == 40
    assert marker(40) == marker(0)


def test_the_scale_becomes_lighter_for_any_vision():
    for vision in VISIONS.values():
        lightness = [lab(colour, vision)[0] for colour in scale(np.linspace(0, 1, 33))]
        assert (np.diff(lightness) > 0).all()

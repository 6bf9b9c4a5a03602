"""Images are cropped, padded or squashed to a shape."""

import numpy as np
import pytest

from simulacra.data.formats.fitting import fit


def halves(height=4, width=8):
    """Return an image whose left half is dark and whose right half is bright."""
    image = np.full((height, width, 1), 50, np.uint8)
    image[:, width // 2 :] = 200
    return image


def test_cropping_keeps_the_centre():
    assert (fit(halves(), (4, 4), 1) == np.repeat([[50, 50, 200, 200]], 4, 0)[..., None]).all()


def test_padding_keeps_all_and_adds_black_borders():
    found = fit(halves(), (8, 8), 1, "pad")[..., 0]
    assert (found[2:6] == halves()[..., 0]).all()
    assert not found[:2].any()
    assert not found[6:].any()
    assert fit(halves(), (8, 8), 1, "pad", border=9)[0, 0, 0] == 9


def test_squashing_keeps_all_without_borders():
    found = fit(np.full((4, 8, 3), 77, np.uint8), (6, 5), 3, "squash")
    assert found.shape == (6, 5, 3)
    assert (found == 77).all()
    ends = fit(halves(16, 32), (16, 16), 1, "squash")[0, :, 0]
    assert (ends[0], ends[-1]) == (50, 200)


@pytest.mark.parametrize("how", ["crop", "pad", "squash"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 20), (20, 3), (13, 9)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_fit_gives_the_shape(how, shape, channels):
    pixels = np.zeros((7, 11, channels), np.uint8)
    assert fit(pixels, shape, channels, how).shape == (*shape, channels)
    assert fit(pixels, (7, 11), channels, how) is pixels

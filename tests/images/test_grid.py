"""Grids of images with an alpha channel, and files of them."""

import numpy as np
import torch
from PIL import Image

from simulacra.images.files import save_image
from simulacra.images.grid import image_grid


def half_transparent():
    """Return one red image [1 4 64 64] whose right half is transparent."""
    image = torch.zeros(1, 4, 64, 64)
    image[:, 0], image[..., 3:, :, :32] = 1, 1
    return image


def test_transparent_pixels_are_drawn_on_a_checkerboard():
    found = np.asarray(image_grid(half_transparent(), 1))
    assert found.shape == (64, 64, 3)
    assert (found[:, :32] == (255, 0, 0)).all()
    assert {tuple(pixel) for pixel in found[:, 32:].reshape(-1, 3).tolist()} == {(204, 204, 204), (255, 255, 255)}


def test_images_with_alpha_are_saved_with_it(tmp_path):
    with Image.open(save_image(half_transparent()[0], tmp_path / "image.png")) as saved:
        assert saved.mode == "RGBA"
        assert saved.getpixel((0, 0)) == (255, 0, 0, 255)
        assert np.asarray(saved)[0, 63, 3] == 0

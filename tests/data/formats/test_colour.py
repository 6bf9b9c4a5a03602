"""Colour profiles become sRGB; images of more than 8 bits are scaled by levels."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from simulacra.data.formats.colour import scale, to_pixels, to_srgb
from simulacra.data.formats.pixels import decode, decode_file
from simulacra.data.formats.refused import Refused


def linear_profile() -> bytes:
    """Return an ICC profile with the primaries of sRGB and a linear curve: that of sRGB with other curves."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    linear = b"curv" + bytes(8)
    for at in range(int.from_bytes(profile[128:132], "big")):
        tag = 132 + 12 * at
        if bytes(profile[tag : tag + 4]) in {b"rTRC", b"gTRC", b"bTRC"}:
            start = int.from_bytes(profile[tag + 4 : tag + 8], "big")
            profile[start : start + 12] = linear
            profile[tag + 8 : tag + 12] = (12).to_bytes(4, "big")
    return bytes(profile)


def saved(image, kind, profile=None):
    file = io.BytesIO()
    image.save(file, kind, icc_profile=profile)
    return file.getvalue()


def srgb_of_linear(values):
    """Return the levels of sRGB for linear levels 0..255 (IEC 61966-2-1)."""
    shares = np.asarray(values, np.float64) / 255
    return 255 * np.where(shares <= 0.0031308, 12.92 * shares, 1.055 * np.maximum(shares, 1e-9) ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_linear_profile_becomes_srgb(kind, mode):
    pixels = np.stack([np.arange(0, 256, 5), np.arange(255, -1, -5), np.full(52, 30)], axis=-1).astype(np.uint8)[None]
    file = io.BytesIO()
    lossless = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(pixels).convert(mode).save(file, kind, icc_profile=linear_profile(), **lossless)
    found = decode_file(file.getvalue())
    assert np.abs(found.pixels - srgb_of_linear(pixels)).max() <= 1.5
    assert found.traits.profile


def test_transparent_pixels_of_a_converted_image_stay_white():
    content = saved(Image.new("RGBA", (2, 2), (10, 20, 30, 0)), "PNG", linear_profile())
    assert (decode(content) == 255).all()


@pytest.mark.parametrize("profile", [None, b"damaged", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_images_without_another_profile_keep_their_bits(profile):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    found = decode_file(saved(Image.fromarray(pixels), "PNG", profile))
    assert (found.pixels == pixels).all()
    assert found.traits.profile == ""


def test_a_profile_of_another_colour_space_is_ignored():
    image = Image.new("L", (2, 2), 100)
    image.info["icc_profile"] = linear_profile()
    assert to_srgb(image) == (image, "")


@pytest.mark.parametrize(
    ("mode", "values", "levels", "expected"),
    [
        ("I;16", [0, 2048, 4095], (0, 4095), [0, 128, 255]),
        ("I;16", [100, 5000, 50], (100, 4196), [0, 255, 0]),
        ("I", [-1000, 0, 3000], (-1000, 1000), [0, 128, 255]),
        ("F", [-1.0, 0.0, 7.5], (-1, 1), [0, 128, 255]),
        ("I;16", [0, 2048, 65535], None, [0, 8, 255]),
    ],
)
def test_levels_are_the_values_of_black_and_white(mode, values, levels, expected):
    kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    image = Image.fromarray(np.array([values], kind))
    assert image.mode == mode
    assert to_pixels(image, levels).ravel().tolist() == expected


def test_values_outside_the_default_range_name_the_remedy():
    with pytest.raises(Refused, match=r"mode F with values outside \[0, 1\]: add --levels LOW..HIGH, or --levels data"):
        to_pixels(Image.new("F", (2, 2), 3.0))


def test_scaling_clips():
    assert scale(np.array([-5.0, 0.0, 0.5, 1.0, 9.0]), (0, 1)).tolist() == [0, 0, 128, 255, 255]

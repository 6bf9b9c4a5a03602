"""Conversion of Pillow images of any mode to 8-bit grey or sRGB pixels."""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from simulacra.data.formats.refused import Refused
from simulacra.data.source import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

ALPHA = {"LA": "L", "La": "L", "PA": "RGB", "RGBA": "RGB", "RGBa": "RGB"}
PLAIN = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # colour spaces of ICC profiles for images of a mode
_SAME = 3  # levels, of 255, by which a profile may differ from sRGB and count as sRGB: profiles of sRGB differ slightly

Levels = tuple[float, float]
"""The values of an image of more than 8 bits that become black and white."""


def to_pixels(image: "Image", levels: Levels | None = None) -> Pixels:
    """Return a Pillow image of any mode as uint8 [h w 1] or [h w 3]: alpha on white, more than 8 bits scaled by `levels`.

    levels: None for 0..65535 of whole numbers and 0..1 of floats. Raises Refused for a mode, or values in a mode, that have no
    8-bit meaning.
    """
    mode = image.mode
    if kind := ALPHA.get(mode) or PLAIN.get(mode):
        opaque = _over_white(image) if mode in ALPHA or "transparency" in image.info else image
        pixels = np.asarray(opaque.convert(kind))
        if kind == "L":
            return pixels[:, :, None]
        return pixels[:, :, :1] if mode in ("P", "PA") and is_grey(pixels) else pixels
    if mode == "LAB":
        return np.asarray(_lab_to_rgb(image))
    if (values := wide_values(image)) is not None:
        return _scaled(values, levels, mode)
    raise Refused(f"mode {mode} is not supported: convert the file to 8-bit RGB")


def wide_values(image: "Image") -> np.ndarray | None:
    """Return the values of an image of more than 8 bits, whole numbers or floats [h w 1]; None for any other."""
    if image.mode == "F":
        return np.asarray(image)[:, :, None]
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int64)[:, :, None]
    return None


def scale(values: np.ndarray, levels: Levels) -> Pixels:
    """Return finite values as uint8: `levels` become 0 and 255, values outside of them are clipped."""
    low, high = levels
    return np.asarray(np.rint(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255), dtype=np.uint8)


def _scaled(values: np.ndarray, levels: Levels | None, mode: str) -> Pixels:
    if not np.isfinite(values).all():
        raise Refused(f"mode {mode} with values that are not finite")
    if levels:
        return scale(values, levels)
    low, high = values.min(initial=0), values.max(initial=0)
    if mode == "F":
        if low < 0 or high > 1:
            raise Refused("mode F with values outside [0, 1]: add --levels LOW..HIGH, or --levels data")
        return scale(values, (0, 1))
    if low < 0 or high > 65535:
        raise Refused(f"mode {mode} with values outside 0..65535: add --levels LOW..HIGH, or --levels data")
    return np.asarray((values + 128) // 257, dtype=np.uint8)


def is_grey(pixels: Pixels) -> bool:
    """Return whether the channels of an image [h w 3] are equal everywhere."""
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())


def to_srgb(image: "Image") -> tuple["Image", str]:
    """Return an image converted from its embedded ICC profile to sRGB, and the name of the profile.

    The image is returned as it is, with an empty name, without a profile, with one that is sRGB, or that cannot be used.
    """
    profile = image.info.get("icc_profile")
    mode = "CMYK" if image.mode == "CMYK" else ALPHA.get(image.mode) or PLAIN.get(image.mode)
    if not profile or mode not in _SPACES:
        return image, ""
    convert, name = _conversion(profile, mode)
    if convert is None:
        return image, ""
    if image.mode not in ALPHA and "transparency" not in image.info:
        return convert(image.convert(mode)), name
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    converted = convert(layer.convert(mode))
    converted.putalpha(layer.getchannel("A"))
    return converted, name


@lru_cache(maxsize=32)
def _conversion(profile: bytes, mode: str) -> "tuple[Callable[[Image], Image] | None, str]":
    """Return the conversion of images of a mode from a profile to sRGB, None where none is needed or possible, and its name."""
    with suppress(Exception):  # damaged profiles, and Pillow without colour management
        from PIL import ImageCms

        held = ImageCms.ImageCmsProfile(BytesIO(profile))
        if held.profile.xcolor_space.strip() != _SPACES[mode]:
            return None, ""
        transform = ImageCms.buildTransform(held, ImageCms.createProfile("sRGB"), mode, "RGB")

        def convert(image: Any) -> Any:
            converted: Any = ImageCms.applyTransform(image, transform)
            return converted.convert("L") if mode == "L" else converted

        if mode == "CMYK" or _differs(convert, mode):
            return convert, ImageCms.getProfileDescription(held).strip() or "without a name"
    return None, ""


def _differs(convert: "Callable[[Image], Image]", mode: str) -> bool:
    """Return whether a conversion changes a sample of all colours by more than rounding."""
    from PIL import Image

    steps = [*range(0, 256, 15)]
    sample = np.array(steps if mode == "L" else [*product(steps, repeat=3)], dtype=np.uint8)[None]
    changed = np.asarray(convert(Image.fromarray(sample)))
    return bool(np.abs(changed.astype(int) - sample).max() > _SAME)


def _over_white(image: "Image") -> "Image":
    from PIL import Image

    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def _lab_to_rgb(image: "Image") -> "Image":
    try:
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    except ImportError as error:
        raise Refused("mode LAB needs Pillow with colour management") from error
    converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
    if converted is None:
        raise Refused("mode LAB could not be converted")
    return converted

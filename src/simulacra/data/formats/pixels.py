"""Decoding of image files: every colour mode is converted or refused by name, rotated upright, alpha on white."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from simulacra.data.source import Item, Pixels, Skip

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = "png jpg jpeg jpe jfif webp bmp dib gif tif tiff ppm pgm pbm pnm tga jp2 j2k avif"
SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
# Only decoders of raster images: others, such as EPS, start programs or read further files.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF")
PIXEL_LIMIT = 89_478_485  # Pillow's limit for a warning; here an error
_BOMB = f"decompression bomb: more than {PIXEL_LIMIT:,} pixels"
_GAP = 3  # factor of reduction from which two steps give nearly the same result as one (Pillow, Image.resize)
_ORIENTATION = 0x0112  # EXIF tag; values above 4 swap height and width
_ALPHA = {"LA": "L", "La": "L", "PA": "RGB", "RGBA": "RGB", "RGBa": "RGB"}
_PLAIN = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}


class Refused(Exception):
    """A file that is not read; the text is the reason, the same for all files of its kind."""


def decode(content: bytes, enough: int = 0) -> Pixels:
    """Return the pixels of an image file, uint8 [h w 1] or [h w 3], rotated upright; the first frame if there are several.

    enough: JPEG files may be decoded at a reduced size, several times faster, if the shorter side keeps at least _GAP times as
    many pixels as this; 0 for the full size.
    Raises Refused with the reason: damaged, too large, or of a mode that has no 8-bit meaning.
    """
    with warnings.catch_warnings(action="ignore"):
        return decode_in_thread(content, enough)


def decode_in_thread(content: bytes, enough: int = 0) -> Pixels:
    """Decode as `decode` does, but without changing the filters of warnings, which all threads share."""
    from PIL import ImageOps

    with _opened(content) as image:
        if enough:
            image.draft(None, (_GAP * enough, _GAP * enough))
        image.load()
        with suppress(Exception):  # unreadable EXIF data do not affect the pixels
            ImageOps.exif_transpose(image, in_place=True)
        return to_pixels(image)


def measure(content: bytes) -> tuple[int, int, int]:
    """Return height, width and channels of an image file from its header alone, as `decode` would return them.

    A palette counts as colour. Raises Refused as `decode` does, except for damage after the header.
    """
    with warnings.catch_warnings(action="ignore"), _opened(content) as image:
        turned = image.format != "PNG" and image.getexif().get(_ORIENTATION, 1) > 4
        height, width = (image.width, image.height) if turned else (image.height, image.width)
        kind = _ALPHA.get(image.mode) or _PLAIN.get(image.mode) or ("RGB" if image.mode == "LAB" else "L")
        return height, width, 1 if kind == "L" else 3


def opacity(content: bytes) -> Pixels | None:
    """Return the opacity of an image file, uint8 [h w 1], 255 where opaque, upright as `decode`; None where it stores none.

    Raises Refused as `decode` does.
    """
    from PIL import ImageOps

    with warnings.catch_warnings(action="ignore"), _opened(content) as image:
        if image.mode not in _ALPHA and "transparency" not in image.info:
            return None
        image.load()
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        layer = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
        return np.asarray(layer.getchannel("A"))[:, :, None]


@contextmanager
def _opened(content: bytes) -> Iterator["Image"]:
    """Open an image file of limited size; any error while it is read is raised as Refused."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(content), formats=_formats()) as image:
            _require_modest(image)
            yield image
    except Refused:
        raise
    except Image.DecompressionBombError as error:
        raise Refused(_BOMB) from error
    except UnidentifiedImageError as error:
        raise Refused("empty file" if not content else "no image, or its header is damaged") from error
    except Exception as error:  # decoders raise errors of any type for damaged bytes
        raise Refused("truncated or damaged image") from error


def fit(pixels: Pixels, shape: tuple[int, int] | None, channels: int) -> Pixels:
    """Return the image [h w c] scaled and cropped about its centre to `shape` (height, width), with `channels` channels.

    None and 0 leave it unchanged. The aspect ratio is kept. Raises Refused if the channels cannot be converted.
    """
    held = pixels.shape[2]
    if held == 3 and channels == 1:
        from PIL import Image

        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))[:, :, None]
    elif held == 1 and channels > 1:
        pixels = np.repeat(pixels, channels, axis=2)
    elif channels not in (0, held):
        raise Refused(f"{held} channels cannot become {channels}")
    if shape is None or pixels.shape[:2] == shape:
        return pixels
    if pixels.shape[2] in (1, 3):
        return _resize(pixels, shape)
    return np.concatenate([_resize(plane, shape) for plane in np.split(pixels, pixels.shape[2], axis=2)], axis=2)


def fitted(item: Item | Skip, shape: tuple[int, int] | None, channels: int) -> Item:
    """Return an item with its pixels in a shape, as `fit`; raises Refused if they cannot be read or converted."""
    if isinstance(item, Skip):
        raise Refused(item.reason)
    return replace(item, pixels=fit(item.pixels, shape, channels))


def _require_modest(image: "Image") -> None:
    if image.width * image.height > PIXEL_LIMIT:
        raise Refused(_BOMB)


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def to_pixels(image: "Image") -> Pixels:
    """Return a Pillow image of any mode as uint8 [h w 1] or [h w 3]: alpha on white, 16 bits scaled by 1/257.

    Raises Refused for a mode, or values in a mode, that have no 8-bit meaning.
    """
    mode = image.mode
    if kind := _ALPHA.get(mode) or _PLAIN.get(mode):
        opaque = _over_white(image) if mode in _ALPHA or "transparency" in image.info else image
        pixels = np.asarray(opaque.convert(kind))
        if kind == "L":
            return pixels[:, :, None]
        return pixels[:, :, :1] if mode in ("P", "PA") and is_grey(pixels) else pixels
    if mode == "LAB":
        return np.asarray(_lab_to_rgb(image))
    if mode == "I" or mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.int64)[:, :, None]
        if wide.size and (wide.min() < 0 or wide.max() > 65535):
            raise Refused(f"mode {mode} with values outside 0..65535")
        return np.asarray((wide + 128) // 257, dtype=np.uint8)
    if mode == "F":
        values = np.asarray(image)[:, :, None]
        if not ((values >= 0) & (values <= 1)).all():
            raise Refused("mode F with values outside [0, 1]")
        return np.asarray(np.rint(values * 255), dtype=np.uint8)
    raise Refused(f"mode {mode} is not supported: convert the file to 8-bit RGB")


def is_grey(pixels: Pixels) -> bool:
    """Return whether the channels of an image [h w 3] are equal everywhere."""
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())


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


def _resize(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(height / shape[0], width / shape[1])
    # Rounding must not move the box out of the image.
    kept_height, kept_width = min(shape[0] * scale, height), min(shape[1] * scale, width)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    flat = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    box = (left, top, min(left + kept_width, width), min(top + kept_height, height))
    resized = Image.fromarray(flat).resize((shape[1], shape[0]), Image.Resampling.LANCZOS, box=box, reducing_gap=_GAP)
    return np.asarray(resized).reshape(*shape, -1)

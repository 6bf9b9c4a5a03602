"""Decoding of image files: every colour mode is converted or refused by name, rotated upright, alpha on white."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import SEEK_CUR, BytesIO
from typing import IO, TYPE_CHECKING

import numpy as np

from simulacra.data.formats.colour import ALPHA, PLAIN, Levels, to_pixels, to_srgb, wide_values
from simulacra.data.formats.fitting import GAP
from simulacra.data.formats.kinds import reads_heif
from simulacra.data.formats.refused import Refused
from simulacra.data.source import Pixels, Traits

if TYPE_CHECKING:
    from PIL.Image import Image

# Only decoders of raster images: others, such as EPS, start programs or read further files.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF")
PIXEL_LIMIT = 89_478_485  # Pillow's limit for a warning; here an error
_BOMB = f"decompression bomb: more than {PIXEL_LIMIT:,} pixels"
_SEVERAL = ("TIFF", "GIF", "WEBP", "PNG", "AVIF")  # formats of files with several images of equal rank
_SUBFILE = 0x00FE  # TIFF tag; its first bit marks a reduced copy of another image
_ORIENTATION = 0x0112  # EXIF tag
_TURNED = range(5, 9)  # orientations that swap height and width


@dataclass(frozen=True)
class Decoded:
    """A decoded image: its pixels, uint8 [h w 1] or [h w 3], and the properties of its file."""

    pixels: Pixels
    traits: Traits


def decode(content: bytes, enough: int = 0, levels: Levels | None = None) -> Pixels:
    """Return the pixels of an image file, uint8 [h w 1] or [h w 3], rotated upright, in sRGB; the first image if it has several.

    enough: JPEG files may be decoded at a reduced size, several times faster, if the shorter side keeps at least three times as
    many pixels as this; 0 for the full size. levels: as for `to_pixels`.
    Raises Refused with the reason: damaged, too large, or of a mode that has no 8-bit meaning.
    """
    return decode_file(content, enough, levels).pixels


def decode_file(content: bytes, enough: int = 0, levels: Levels | None = None) -> Decoded:
    """Decode the first image of a file as `decode` does, with the properties of the file."""
    with warnings.catch_warnings(action="ignore"):
        return _first(content, enough, levels)


def decode_in_thread(content: bytes, enough: int = 0, levels: Levels | None = None) -> Pixels:
    """Decode as `decode` does, but without changing the filters of warnings, which all threads share."""
    return _first(content, enough, levels).pixels


def decode_all(content: bytes, enough: int = 0, levels: Levels | None = None) -> Iterator[Decoded]:
    """Yield every image of a file, each as `decode` returns the first: the pages of TIFF files, the frames of animations."""
    with warnings.catch_warnings(action="ignore"), _opened(BytesIO(content)) as image:
        for at in _pages(image):
            image.seek(at)
            _reduce(image, enough)
            yield _upright(image.copy(), levels)


def _first(content: bytes, enough: int, levels: Levels | None) -> Decoded:
    with _opened(BytesIO(content)) as image:
        pages = len(_pages(image))
        _reduce(image, enough)
        return _upright(image, levels, pages)


def _upright(image: "Image", levels: Levels | None, pages: int = 1) -> Decoded:
    """Return an opened image of a file with this number of images, rotated upright."""
    from PIL import ImageOps

    image.load()
    with suppress(Exception):  # unreadable EXIF data do not affect the pixels
        ImageOps.exif_transpose(image, in_place=True)
    converted, profile = to_srgb(image)
    values = wide_values(image)
    extremes = None if values is None or not values.size else (float(values.min()), float(values.max()))
    return Decoded(to_pixels(converted, levels), Traits(pages, profile, extremes))


def _pages(image: "Image") -> list[int]:
    """Return the numbers of the images of a file: of TIFF files without reduced copies of others, of any other all frames."""
    count, pages = 1, [0]
    with suppress(Exception):  # damage after the first image
        count = getattr(image, "n_frames", 1) if image.format in _SEVERAL else 1
        for at in range(1, count):
            if image.format == "TIFF":
                image.seek(at)
            if not getattr(image, "tag_v2", {}).get(_SUBFILE, 0) & 1:
                pages.append(at)
    if count > 1:
        image.seek(0)
    return pages


def measure(file: IO[bytes]) -> tuple[int, int, int]:
    """Return height, width and channels of an image file, as `decode` returns them, in general from its header alone.

    Images with a palette are decoded, since their colours decide the channels. Raises Refused as `decode` does, except for
    damage after the header.
    """
    with warnings.catch_warnings(action="ignore"), _opened(file) as image:
        if image.mode in {"P", "PA"}:
            height, width, channels = _upright(image, None).pixels.shape
            return height, width, channels
        turned = _is_turned(image, file)
        height, width = (image.width, image.height) if turned else (image.height, image.width)
        kind = ALPHA.get(image.mode) or PLAIN.get(image.mode) or ("RGB" if image.mode == "LAB" else "L")
        return height, width, 1 if kind == "L" else 3


def _is_turned(image: "Image", file: IO[bytes]) -> bool:
    """Return whether decoding swaps the height and the width that Pillow states before it decodes."""
    from PIL import Image

    early = image.format == "PNG" and not _has_late_text(file)
    with suppress(Exception):  # unreadable EXIF data do not affect the pixels
        # The method of PNG files decodes the pixels first. Pillow itself swaps the sides that a TIFF file declares.
        exif = Image.Image.getexif(image) if early else image.getexif()
        return (exif.get(_ORIENTATION) in _TURNED) != (getattr(image, "tag_v2", {}).get(_ORIENTATION) in _TURNED)
    return False


def _has_late_text(file: IO[bytes]) -> bool:
    """Return whether a PNG file has a chunk after its pixels that may hold an orientation; keeps the position in the file."""
    before, pixels = file.tell(), False
    try:
        for kind in _png_chunks(file):
            if pixels and kind in {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}:
                return True
            if pixels and kind in {b"fcTL", b"IEND"}:  # a second frame, or the end
                return False
            pixels = pixels or kind == b"IDAT"
        return False
    finally:
        file.seek(before)


def _png_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the kind of each chunk of a PNG file."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        yield head[4:]
        file.seek(int.from_bytes(head[:4], "big") + 4, SEEK_CUR)  # the content and its checksum


def opacity(content: bytes) -> Pixels | None:
    """Return the opacity of an image file, uint8 [h w 1], 255 where opaque, upright as `decode`; None where it stores none.

    Raises Refused as `decode` does.
    """
    from PIL import ImageOps

    with warnings.catch_warnings(action="ignore"), _opened(BytesIO(content)) as image:
        if image.mode not in ALPHA and "transparency" not in image.info:
            return None
        _require_modest(image)
        image.load()
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        layer = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
        return np.asarray(layer.getchannel("A"))[:, :, None]


@contextmanager
def _opened(file: IO[bytes]) -> Iterator["Image"]:
    """Open an image file of limited size for reading; any error while it is read is raised as Refused."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _open(file) as image:
            yield image
    except Refused:
        raise
    except Image.DecompressionBombError as error:
        raise Refused(_BOMB) from error
    except UnidentifiedImageError as error:
        file.seek(0)
        raise Refused("no image, or its header is damaged" if file.read(1) else "empty file") from error
    except Exception as error:  # decoders raise errors of any type for damaged bytes
        raise Refused("truncated or damaged image") from error


def _open(file: IO[bytes]) -> "Image":
    """Open an image file; JPEG files of any size, since they can be decoded at a reduced size."""
    from PIL import Image, JpegImagePlugin

    start = file.read(3)
    file.seek(0)
    if start == b"\xff\xd8\xff":
        return JpegImagePlugin.jpeg_factory(file)
    return Image.open(file, formats=_formats())


def _reduce(image: "Image", enough: int) -> None:
    """Reduce the size at which an image will be decoded, where possible; raises Refused for one that remains too large."""
    if enough:
        image.draft(None, (GAP * enough, GAP * enough))
    _require_modest(image)


def _require_modest(image: "Image") -> None:
    if image.width * image.height > PIXEL_LIMIT:
        raise Refused(f"{_BOMB}: add --size to decode JPEG files at a reduced size" if image.format == "JPEG" else _BOMB)


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    known = (*_FORMATS, *(("HEIF",) if reads_heif() else ()))
    return tuple(name for name in known if name in Image.OPEN)

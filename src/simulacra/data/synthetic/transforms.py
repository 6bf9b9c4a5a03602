"""Images as seen through a look: fixed functions of an image, so that what a translator should have made of it is known.

A look is a function of uint8 images [n h w c] alone, without parameters and without chance. Its images keep number, order,
height, width and class. `mnist-thick` is `mnist` seen through the look `thick`: test image k of the one is the look of test image
k of the other. Such pairs are for measuring; whoever trains on both draws each of them by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from simulacra.core.errors import DataError, UsageError
from simulacra.data.formats.pixels import Refused, fit
from simulacra.data.settings import DataConfig, parted
from simulacra.data.source import Item, Material, Pixels, Reading, Skip

if TYPE_CHECKING:
    from simulacra.data.dataset import Dataset

_VERSION = 1  # raised when the same name gives other images
_REC_601 = (19595, 38470, 7471)  # 65536 x (0.299, 0.587, 0.114)
_BLUE = 128


@dataclass(frozen=True)
class Look:
    """One look. apply: from images uint8 [n h w c] to images uint8 [n h w c']; channels: c', or 0 for as many as came."""

    summary: str
    apply: Callable[[Pixels], Pixels]
    channels: int = 0


def inverted(images: Pixels) -> Pixels:
    """Return 255 - x: ink becomes paper. Its own inverse.

    >>> inverted(np.array([[[[0], [55]]]], np.uint8)).ravel().tolist()
    [255, 200]
    """
    return np.subtract(255, images, dtype=np.uint8)


def coloured(images: Pixels) -> Pixels:
    """Return grey levels x as the colours (x, 255 - x, 128): red ink on a green ground. Its inverse is the red channel.

    The map is one and the same for all images. A colour that depends on the image, such as a hue for each class, could not be
    learned without pairs: any exchange of the hues would fit the two sets of images as well. All colours have the same mean,
    383 / 3, so that averaging the channels is no translation: it leaves nothing. Colour images [n h w 3] are made grey before
    (Rec. 601: 0.299 R + 0.587 G + 0.114 B, rounded); their answer is known, but has no inverse.

    Raises Refused for other than 1 or 3 channels.

    >>> coloured(np.array([[[[0], [55]]]], np.uint8)).tolist()
    [[[[0, 255, 128], [55, 200, 128]]]]
    """
    grey = _grey(images)
    return np.stack([grey, inverted(grey), np.full_like(grey, _BLUE)], axis=-1)


def thick(images: Pixels) -> Pixels:
    """Return the grey dilation by a square of 3x3 pixels: the largest value among a pixel and its eight neighbours.

    Pixels beyond the border do not count (Serra 1982, chapter XII). Each channel by itself. Bright strokes grow by a pixel to
    each side; where they meet, the gap between them is lost, so that the inverse is a matter of knowing what was there.

    >>> thick(np.array([[[[0], [0], [9], [0], [0]]]], np.uint8)).ravel().tolist()
    [0, 9, 9, 9, 0]
    """
    rows = images.copy()
    np.maximum(rows[:, 1:], images[:, :-1], out=rows[:, 1:])
    np.maximum(rows[:, :-1], images[:, 1:], out=rows[:, :-1])
    both = rows.copy()
    np.maximum(both[:, :, 1:], rows[:, :, :-1], out=both[:, :, 1:])
    np.maximum(both[:, :, :-1], rows[:, :, 1:], out=both[:, :, :-1])
    return both


def edges(images: Pixels) -> Pixels:
    """Return the outer morphological gradient: the dilation of `thick`, less the image (Rivest, Soille & Beucher 1993).

    Strokes become dark and their outlines bright. The full gradient, dilation less erosion, would be `thick` again where
    strokes are as thin as those of small digits.

    >>> edges(np.array([[[[0], [0], [9], [0], [0]]]], np.uint8)).ravel().tolist()
    [0, 9, 0, 9, 0]
    """
    return np.subtract(thick(images), images, dtype=np.uint8)  # a dilation is nowhere darker than its image


LOOKS: Mapping[str, Look] = {
    "coloured": Look("the same images, grey levels as colours from green to red", coloured, 3),
    "edges": Look("the same images, strokes as their outlines", edges),
    "inverted": Look("the same images, dark and bright exchanged", inverted),
    "thick": Look("the same images, bright strokes a pixel wider on each side", thick),
}


def known_answer(images: Pixels, look: str) -> Pixels:
    """Return what a look makes of images uint8 [n h w c]: what a translator from the one to the other should answer.

    Raises UsageError for images of another type.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UsageError(f"images are {images.dtype} {list(images.shape)}, expected uint8 [n h w c]")
    return LOOKS[look].apply(images)


def look_between(source: "Dataset", other: "Dataset") -> str:
    """Return the look through which the test images of `other` are those of `source`, image by image; empty if none is.

    A folder may bear any name, so the images themselves are compared.
    """
    name, look = parted(other.name)
    if not look or name != source.name or len(source.test) != len(other.test):
        return ""
    return look if np.array_equal(known_answer(source.test.images, look), other.test.images) else ""


def seen(material: Material, look: str, config: DataConfig) -> Material:
    """Return a material as seen through a look, which is applied after resizing: the look of the images that would be trained on.

    Raises UsageError where the look makes other channels than asked for, DataError for material in shards.
    """
    made = LOOKS[look].channels
    if made and config.channels not in (0, made):
        raise UsageError(f"{look} images have {made} channels, and --channels is {config.channels}: leave it out")
    if material.shards is not None:
        raise DataError(f"{material.name} is a folder of tar shards, which are read as they are: leave -{look} out of its name")

    @contextmanager
    def opened() -> Iterator[Reading]:
        with material.open() as reading:
            yield replace(reading, items=_items(reading.items, look, config))

    return Material(f"{material.name}-{look}", f"{material.key}|{look}-{_VERSION}", opened, material.classes)


def _items(items: Iterable[Item | Skip], look: str, config: DataConfig) -> Iterator[Item | Skip]:
    """Yield items through a look; their digests tell them from those of the source."""
    shape = (config.size, config.size) if config.size else None
    for item in items:
        if isinstance(item, Skip):
            yield item
            continue
        try:
            pixels = LOOKS[look].apply(fit(item.pixels, shape, config.channels)[None])[0]
        except Refused as refusal:
            yield Skip(item.name, str(refusal))
            continue
        yield replace(item, pixels=pixels, digest=sha256(f"{look}-{_VERSION}|{item.digest}".encode()).hexdigest())


def _grey(images: Pixels) -> Pixels:
    """Return the grey levels [n h w] of images with 1 or 3 channels, in the arithmetic of Pillow."""
    channels = images.shape[-1]
    if channels == 1:
        return images[..., 0]
    if channels != 3:
        raise Refused(f"{channels} channels have no grey level")
    weighted = images.astype(np.uint32) @ np.array(_REC_601, np.uint32)
    return ((weighted + 2**15) >> 16).astype(np.uint8)

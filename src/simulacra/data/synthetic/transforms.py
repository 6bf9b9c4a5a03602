"""Transforms of images: fixed functions, so that the correct output of a translation model is known.

A transform is a deterministic function of uint8 images [n h w c] without parameters. It keeps number, order, height, width and
class of the images; `hues` adds an attribute and a caption. `mnist-thick` is `mnist` with the transform `thick` applied: test
image k of one is the transform of test image k of the other. These pairs are for evaluation only; training draws from each data
set independently.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from simulacra.core.errors import DataError, UsageError
from simulacra.data.formats.fitting import fitted
from simulacra.data.formats.refused import Refused
from simulacra.data.settings import DataConfig, split_transform
from simulacra.data.source import Item, Material, Pixels, Reading, Skip
from simulacra.data.synthetic.grey_levels import grey_levels
from simulacra.data.synthetic.hues import described, hues, with_hue

if TYPE_CHECKING:
    from simulacra.data.dataset import Dataset

_VERSION = 1  # raise when the output of a transform changes
_BLUE = 128


@dataclass(frozen=True)
class Transform:
    """One transform. apply: maps uint8 [n h w c] to uint8 [n h w c']; channels: c', or 0 if c' = c; hue: whether it adds one."""

    summary: str
    apply: Callable[[Pixels], Pixels]
    channels: int = 0
    hue: bool = False


def inverted(images: Pixels) -> Pixels:
    """Return 255 - x, which is its own inverse.

    >>> inverted(np.array([[[[0], [55]]]], np.uint8)).ravel().tolist()
    [255, 200]
    """
    return np.subtract(255, images, dtype=np.uint8)


def coloured(images: Pixels) -> Pixels:
    """Return grey levels x as the colours (x, 255 - x, 128). The red channel is the inverse.

    The map is the same for all images. A colour that depends on the image, such as one hue per class, could not be learned from
    unpaired images: any permutation of the hues would match both distributions. All colours have the same mean, 383 / 3, so that
    the average of the channels carries no information. Colour images [n h w 3] are converted to grey first (Rec. 601:
    0.299 R + 0.587 G + 0.114 B, rounded); their transform has no inverse.

    Raises Refused for other than 1 or 3 channels.

    >>> coloured(np.array([[[[0], [55]]]], np.uint8)).tolist()
    [[[[0, 255, 128], [55, 200, 128]]]]
    """
    grey = grey_levels(images)
    return np.stack([grey, inverted(grey), np.full_like(grey, _BLUE)], axis=-1)


def thick(images: Pixels) -> Pixels:
    """Return the grey dilation by a square of 3x3 pixels: the largest value among a pixel and its eight neighbours.

    Pixels outside the image are ignored (Serra 1982, chapter XII). Channels are independent. Bright strokes grow by one pixel on
    each side and gaps close, so that there is no exact inverse.

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
    """Return the outer morphological gradient: the dilation of `thick` minus the image (Rivest, Soille & Beucher 1993).

    Strokes become dark and their outlines bright. The full gradient, dilation minus erosion, would equal `thick` for strokes as
    thin as those of small digits.

    >>> edges(np.array([[[[0], [0], [9], [0], [0]]]], np.uint8)).ravel().tolist()
    [0, 9, 0, 9, 0]
    """
    return np.subtract(thick(images), images, dtype=np.uint8)  # a dilation is nowhere smaller than its image


TRANSFORMS: Mapping[str, Transform] = {
    "coloured": Transform("the same images, grey levels as colours from green to red", coloured, 3),
    "edges": Transform("the same images, strokes replaced by their outlines", edges),
    "hues": Transform("the same images in one of seven hues on black, with attributes and captions", hues, 3, hue=True),
    "inverted": Transform("the same images, dark and bright swapped", inverted),
    "thick": Transform("the same images, bright strokes a pixel wider on each side", thick),
}


def apply_transform(images: Pixels, transform: str) -> Pixels:
    """Return uint8 images [n h w c] with a transform applied: the correct translation; raises UsageError for another type."""
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UsageError(f"images are {images.dtype} {list(images.shape)}, expected uint8 [n h w c]")
    return TRANSFORMS[transform].apply(images)


def transform_between(source: "Dataset", other: "Dataset") -> str:
    """Return the transform that maps every test image of `source` to that of `other`; empty if there is none."""
    name, transform = split_transform(other.name)
    if not transform or name != source.name or len(source.test) != len(other.test):
        return ""
    # A folder may have any name, so the images are compared.
    return transform if np.array_equal(apply_transform(source.test.images, transform), other.test.images) else ""


def transformed(material: Material, transform: str, config: DataConfig) -> Material:
    """Return a material with a transform applied to each image, after resizing.

    Raises UsageError if the transform's output has other channels than requested, DataError for material in shards.
    """
    channels = TRANSFORMS[transform].channels
    if channels and config.channels not in (0, channels):
        raise UsageError(f"{transform} images have {channels} channels, and --channels is {config.channels}: leave it out")
    if material.shards is not None:
        advice = f"leave -{transform} out of its name"
        raise DataError(f"{material.name} is a folder of tar shards, which are read as they are: {advice}")

    @contextmanager
    def opened() -> Iterator[Reading]:
        with material.open() as reading:
            plain = _fitted(reading.items, config)
            if TRANSFORMS[transform].hue:
                reading, plain = _with_hue(reading, plain, material)
            yield replace(reading, items=_items(plain, transform))

    title, key = f"{material.name}-{transform}", f"{material.key}|{transform}-{_VERSION}"
    return Material(title, key, opened, material.classes, sizes=material.sizes, extremes=material.extremes)


def _fitted(items: Iterable[Item | Skip], config: DataConfig) -> Iterator[Item | Skip]:
    """Yield items in the size and channels of the settings."""
    for item in items:
        try:
            yield fitted(item, config.shape, config.channels, config.fit)
        except Refused as refusal:
            yield Skip(item.name, str(refusal))


def _with_hue(reading: Reading, items: Iterator[Item | Skip], material: Material) -> tuple[Reading, Iterator[Item | Skip]]:
    """Return a reading with the attribute of the hue, and items with the value of it and a caption, not yet coloured."""
    read, labelled = list[Item | Skip](), False
    for item in items:  # up to the first image, which shows whether images have labels
        read.append(item)
        if isinstance(item, Item):
            labelled = bool(item.labels)
            break
    attributes = with_hue(reading.attributes, labelled, material.classes, material.name)
    return replace(reading, attributes=attributes), _described(chain(read, items), labelled, material.name)


def _described(items: Iterable[Item | Skip], labelled: bool, source: str) -> Iterator[Item | Skip]:
    for item in items:
        if isinstance(item, Item) and bool(item.labels) != labelled:
            yield Skip(item.name, "no class, unlike other images")
            continue
        try:
            yield described(item, source) if isinstance(item, Item) else item
        except Refused as refusal:
            yield Skip(item.name, str(refusal))


def _items(items: Iterable[Item | Skip], transform: str) -> Iterator[Item | Skip]:
    """Yield transformed items, whose digests differ from those of the source."""
    for item in items:
        if isinstance(item, Skip):
            yield item
            continue
        try:
            pixels = TRANSFORMS[transform].apply(item.pixels[None])[0]
        except Refused as refusal:
            yield Skip(item.name, str(refusal))
        else:
            yield replace(item, pixels=pixels, digest=sha256(f"{transform}-{_VERSION}|{item.digest}".encode()).hexdigest())

"""Conversion of arrays of images and labels, with checks of rank, range and finiteness."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError
from simulacra.data.formats.colour import scale
from simulacra.data.source import Pixels

_CHANNELS = (1, 2, 3, 4)
_COLOUR = (3, 4)  # channels of an array [h w c] that is one image instead of several grey ones
_ROUNDING = 1e-5  # by which floats may leave [0, 1], from computations in single precision
Layout = Literal["channels last", "channels first"]


def to_uint8(
    images: np.ndarray, where: str, prefer: Layout = "channels last", levels: tuple[float, float] | None = None
) -> Pixels:
    """Return images [n h w c] in 0..255 from [n h w], [n h w c], [n c h w] or one [h w 3] or [h w 4]; `prefer` decides if
    both layouts fit.

    Floats must lie in [0, 1], up to rounding, whole numbers in 0..255, unless `levels` names the values that become 0 and 255;
    truth values become 0 and 255.
    Raises DataError that names `where`, the first bad image and what was expected.
    """
    stacked = _channels_last(np.asarray(images), where, prefer)
    if stacked.dtype == np.bool_:
        return stacked.astype(np.uint8) * np.uint8(255)
    if levels and stacked.dtype != np.uint8 and stacked.dtype.kind in "fiu":
        _check(stacked, where, -np.inf, np.inf, "")
        return scale(stacked, levels)
    if stacked.dtype.kind == "f":
        _check(stacked, where, 0.0, 1.0, _advice(stacked), _ROUNDING)
        return np.asarray(np.rint(np.clip(stacked, 0, 1) * 255), dtype=np.uint8)
    if stacked.dtype.kind in "iu":
        _check(stacked, where, 0, 255, "scale the values to 0..255, or give --levels")
        if stacked.size and stacked.max() == 1:
            expected = f"expected {stacked.dtype} values in 0..255"
            raise DataError(f"{where}: all values are 0 or 1, {expected}: multiply by 255, or give floats or truth values")
        return np.ascontiguousarray(stacked, dtype=np.uint8)
    raise DataError(f"{where} has values of type {stacked.dtype}, expected uint8 in 0..255 or floats in [0, 1]")


def to_labels(labels: np.ndarray, count: int, where: str, columns: int = 1) -> np.ndarray:
    """Return `count` labels: int64 [n], or [n k] for k columns; raises DataError for another shape, fractions or negatives."""
    given = np.asarray(labels)
    expected = ((count,), (count, 1)) if columns == 1 else ((count, columns),)
    if given.shape not in expected:
        advice = ": name the columns with attributes=" if given.ndim == 2 and given.shape[0] == count else ""
        raise DataError(f"{where} has labels of shape {given.shape} for {count} images, expected {expected[0]}{advice}")
    if given.dtype.kind not in "iu" or (given.size and given.min() < 0):
        raise DataError(f"{where} has labels of type {given.dtype}, expected whole numbers from 0")
    return given.reshape(expected[0]).astype(np.int64)


def name_labels(labels: np.ndarray, attributes: Sequence[Attribute], where: str) -> tuple[np.ndarray, tuple[Attribute, ...]]:
    """Return label numbers with the attributes that name them, of labels [n] or [n k] and an attribute for each column.

    An attribute without values receives those that occur, and its labels become their positions: labels {3, 7} become {0, 1}
    with the values "3" and "7". Raises DataError for a label without a name.
    """
    columns, named = [], []
    for column, attribute in zip(labels.reshape(len(labels), -1).T, attributes, strict=True):
        if attribute.values:
            if (largest := int(column.max(initial=-1))) >= len(attribute.values):
                what = f"values of {attribute.name}" if attribute.name else "class names"
                raise DataError(f"{where} has label {largest} but only {len(attribute.values)} {what}: name every value")
            columns.append(column)
            named.append(attribute)
        else:
            values, positions = np.unique(column, return_inverse=True)
            columns.append(positions.astype(np.int64).reshape(-1))
            named.append(Attribute(attribute.name, tuple(map(str, values))))
    return np.ascontiguousarray(np.stack(columns, axis=1).reshape(labels.shape)), tuple(named)


def _channels_last(images: np.ndarray, where: str, prefer: Layout) -> np.ndarray:
    expected = "expected [n h w], [n h w c] or [n c h w] with 1 to 4 channels"
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(f"{where} has shape {images.shape}, {expected} and at least one image")
    if images.ndim == 3:
        one = images.shape[2] in _COLOUR and min(images.shape[:2]) > max(_COLOUR)
        return images[None] if one else images[..., None]
    last, first = images.shape[3] in _CHANNELS, images.shape[1] in _CHANNELS
    if first and (prefer == "channels first" or not last):
        return images.transpose(0, 2, 3, 1)
    if last:
        return images
    raise DataError(f"{where} has shape {images.shape}, {expected}")


def _advice(images: np.ndarray) -> str:
    """Return what brings floats to [0, 1], by the range of values that they have."""
    low, high = float(np.nanmin(images)), float(np.nanmax(images))
    if -1 - _ROUNDING <= low < 0 and high <= 1 + _ROUNDING:
        return "give (images + 1) / 2 if the values are in [-1, 1]"
    if low < 0:
        return "the values are standardized: undo this, or give --levels with the values that become black and white"
    return "divide by 255 if the values are 0..255" if high <= 255 else "give --levels with the value that becomes white"


def _check(images: np.ndarray, where: str, low: float, high: float, advice: str, rounding: float = 0) -> None:  # noqa: PLR0917
    for start in range(0, len(images), 1024):
        block = images[start : start + 1024]
        good = (block >= low - rounding) & (block <= high + rounding) & np.isfinite(block)
        if not good.all():
            bad = int(np.argmin(good.reshape(len(block), -1).all(axis=1)))
            image = block[bad]
            held, expected = f"values from {image.min():g} to {image.max():g}", f"{images.dtype} in [{low:g}, {high:g}]"
            if not np.isfinite(image).all():
                held, advice = "NaN" if np.isnan(image).any() else "infinite values", "remove or correct it"
            raise DataError(f"{where}: image {start + bad} has {held}, expected {expected}: {advice}")

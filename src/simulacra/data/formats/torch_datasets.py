"""Images and labels of map-style torch data sets, read once and item by item."""

from collections.abc import Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.data.formats.colour import to_pixels
from simulacra.data.formats.refused import Refused

_CHANNELS = (1, 2, 3, 4)
_ITEM = "an image, or a pair of an image and a whole number"
_IMAGE = "a Pillow image, or an array or tensor [h w], [h w c] or [c h w] with 1 to 4 channels"
_UNIT = 255  # floats are read as multiples of 1/255, from -255 to 255: exact for images of 8 bits, in [0, 1] or [-1, 1]


Images = np.ndarray | Tensor


@dataclass(frozen=True)
class Items:
    """Images with their labels, or None; of a torch data set uint8 [n h w c] and int64 [n], its name and classes, and remarks."""

    images: Images
    labels: Images | None
    name: str = "array"
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def items_of(source: Images | TorchDataset[Any], labels: Images | None, progress: Progress = SILENT) -> Items:
    """Return images in memory with their labels, or the items of a torch data set, with its own labels unless others are given.

    Raises UsageError, DataError, as `read_items`.
    """
    if not isinstance(source, TorchDataset | DataLoader):
        return Items(source, labels)
    found = read_items(source, progress)
    return found if labels is None else replace(found, labels=labels)


def read_items(dataset: Any, progress: Progress = SILENT) -> Items:
    """Return the items of a map-style torch data set, each an image, or a pair of an image and its class number.

    Images are Pillow images of any mode, or arrays or tensors of bytes in 0..255 or floats in [0, 1] or [-1, 1]; where any value
    is negative, -1 is black. Every item is read once, so that random transforms are applied once.
    Raises UsageError for a data set without a length, DataError for items that differ in shape or are anything else.
    """
    name, count = type(dataset).__name__, _count(dataset)
    images, labels = list[np.ndarray](), list[int]()
    with progress.task(f"reading {name}", count, "images") as meter:
        for index in range(count):
            image, label = _pair(dataset[index], f"{name}[{index}]")
            images.append(image)
            if images[0].shape != image.shape:
                seen = f"{_shape(image)}, and {name}[0] has {_shape(images[0])}"
                raise DataError(f"{name}[{index}] has {seen}: resize images in the transform of the data set")
            labels += [] if label is None else [label]
            meter.advance()
    if labels and len(labels) != len(images):
        raise DataError(f"{len(labels)} of the {len(images)} items of {name} have labels: give labels for all, or for none")
    stacked, notes = _bytes(np.stack(images))
    for note in notes:
        progress.message(f"{name}: {note}")
    return Items(stacked, np.array(labels) if labels else None, name.lower(), _classes(dataset, labels), notes)


def _count(dataset: Any) -> int:
    """Return the number of items; raises UsageError for a data set without a length, DataError for an empty one."""
    name = f"the torch data set {type(dataset).__name__}"
    if isinstance(dataset, DataLoader):
        raise UsageError("a DataLoader returns batches: give its data set, loader.dataset")
    if isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized):
        what = "is iterable, and may have no end" if isinstance(dataset, IterableDataset) else "has no length"
        raise UsageError(f"{name} {what}: give a map-style one, with __len__, or collect its images in an array")
    if not len(dataset):
        raise DataError(f"{name} is empty: give at least one image")
    return len(dataset)


def _pair(item: Any, where: str) -> tuple[np.ndarray, int | None]:
    """Return an image [h w c], uint8 or int16, and its label."""
    image, label = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
    if isinstance(image, tuple | list | dict | str | bytes):
        raise DataError(f"{where} is a {type(item).__name__}, expected {_ITEM}: return that from __getitem__")
    return _pixels(image, where), None if label is None else _label(label, where)


def _label(label: Any, where: str) -> int:
    number = np.asarray(label.cpu() if isinstance(label, Tensor) else label)
    if number.size != 1 or number.dtype.kind not in "iub" or number.min() < 0:
        raise DataError(f"the label of {where} is {label!r}, expected a whole number from 0")
    return int(number.reshape(()))


def _pixels(image: Any, where: str) -> np.ndarray:
    if isinstance(image, Image.Image):
        try:
            return to_pixels(image)
        except Refused as refusal:
            raise DataError(f"{where}: {refusal}") from refusal
    values = np.asarray(image.detach().float().cpu() if _is_low_precision(image) else image)
    if values.ndim not in (2, 3) or values.dtype.kind not in "fiub" or not values.size:
        raise DataError(f"{where} is a {type(image).__name__} of shape {values.shape} and type {values.dtype}, expected {_IMAGE}")
    return _quantized(_channels_last(values, isinstance(image, Tensor), where), where)


def _is_low_precision(image: Any) -> bool:
    return isinstance(image, Tensor) and image.dtype in (torch.bfloat16, torch.float16)


def _channels_last(values: np.ndarray, prefer_first: bool, where: str) -> np.ndarray:
    if values.ndim == 2:
        return values[:, :, None]
    last, first = values.shape[2] in _CHANNELS, values.shape[0] in _CHANNELS
    if first and (prefer_first or not last):
        return values.transpose(1, 2, 0)
    if last:
        return values
    raise DataError(f"{where} has shape {values.shape}, expected {_IMAGE}")


def _quantized(values: np.ndarray, where: str) -> np.ndarray:
    """Return bytes as uint8, truth values as 0 and 255, floats in multiples of 1/255 as int16."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(_UNIT)
    scaled = np.rint(values.astype(np.float64) * _UNIT) if values.dtype.kind == "f" else values
    low = -_UNIT if values.dtype.kind == "f" else 0
    if not ((scaled >= low) & (scaled <= _UNIT)).all():  # NaN is neither
        expected = "floats in [0, 1] or [-1, 1], or whole numbers in 0..255"
        raise DataError(f"{where} has values from {values.min():g} to {values.max():g}, expected {expected}: scale them")
    return scaled.astype(np.int16 if values.dtype.kind == "f" else np.uint8)


def _bytes(images: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return uint8 images, and a remark where they were in [-1, 1]."""
    if images.dtype == np.uint8:
        return images, ()
    if images.min() >= 0:
        return images.astype(np.uint8), ()
    return ((images + _UNIT + 1) // 2).astype(np.uint8), ("values in [-1, 1] were mapped to [0, 1]",)


def _classes(dataset: object, labels: list[int]) -> tuple[str, ...]:
    """Return the attribute `classes`, which torchvision's data sets have, where it names every label."""
    found = getattr(dataset, "classes", None)
    names = tuple(found) if isinstance(found, list | tuple) else ()
    known = labels and all(isinstance(name, str) for name in names) and max(labels) < len(names)
    return names if known else ()


def _shape(image: np.ndarray) -> str:
    return "x".join(map(str, image.shape))

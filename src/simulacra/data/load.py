"""The door to data: by settings, or from arrays in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Dataset, split, to_floats
from simulacra.data.domains import shared_out, together
from simulacra.data.formats.arrays import Layout, class_names, to_labels, to_uint8
from simulacra.data.formats.pixels import SUFFIXES, Refused, fit
from simulacra.data.prepare import arrange, prepare
from simulacra.data.settings import DataConfig, DomainsConfig
from simulacra.data.shards.opening import open_shards
from simulacra.data.source import Item, Pixels, Reading, Skip
from simulacra.data.sources import at_path, locate
from simulacra.data.sources.folder import read_picture

Images = np.ndarray | Tensor


def load(config: DataConfig | DomainsConfig, progress: Progress = SILENT) -> Dataset:
    """Return the data set that the settings name: found, downloaded and decoded as far as that has not been done before.

    Raises UsageError for unknown names and contradictions, DataError for what cannot be found, read or trusted.
    """
    if isinstance(config, DomainsConfig):
        chosen = {name: config.domain(name) for name in config.named}  # all, before the first is prepared
        loaded = {name: load(one, progress) for name, one in chosen.items()}
        return together(shared_out(loaded) if config.disjoint else loaded)
    material = locate(config, progress)
    if material.shards is not None and not material.shards.few:
        return open_shards(material.shards, config, progress)
    prepared = prepare(material, config, progress)
    facts = prepared.facts
    train, validation, test = split(prepared.images, prepared.labels, facts.train, config.validation, config.limit)
    _, height, width, channels = facts.shape
    spec = DataSpec(channels, height, width, facts.classes)
    return Dataset(facts.name, facts.digest, spec, train, validation, test, facts.skipped, facts.notes)


def from_array(
    images: Images,
    labels: Images | None = None,
    name: str = "array",
    *,
    test_images: Images | None = None,
    test_labels: Images | None = None,
    classes: tuple[str, ...] = (),
    validation: float = 1 / 12,
) -> Dataset:
    """Return a data set of images in memory: [n h w], [n h w c] or [n c h w], floats in [0, 1] or whole numbers in 0..255.

    labels: class numbers [n]; without test images a tenth of the images becomes test. Pixels are stored as uint8.
    Raises DataError for a wrong rank, range or NaN, with the number of the first bad image.
    """
    pixels, numbers = _checked(images, labels, name)
    keys = [("train", f"{at:09d}") for at in range(len(pixels))]
    if test_images is not None:
        held_out, held_out_numbers = _checked(test_images, test_labels, f"{name} (test)")
        if held_out.shape[1:] != pixels.shape[1:] or (numbers is None) != (held_out_numbers is None):
            raise DataError(
                f"{name}: test images {held_out.shape} do not fit images {pixels.shape}: same shape and labels for both"
            )
        keys += [("test", f"{at:09d}") for at in range(len(held_out))]
        pixels = np.concatenate([pixels, held_out])
        numbers = None if numbers is None or held_out_numbers is None else np.concatenate([numbers, held_out_numbers])
    order, train = arrange(keys)
    parts = split(pixels[order], None if numbers is None else numbers[order], train, validation)
    spec = DataSpec(pixels.shape[3], pixels.shape[1], pixels.shape[2], class_names(numbers, classes, name))
    return Dataset(name, _digest(pixels, numbers), spec, parts[0], parts[1], parts[2])


def images_like(path: Path, spec: DataSpec, count: int) -> Tensor:
    """Return the first `count` images of a picture file, folder, archive or array file, fitted to the shape of `spec`.

    float32 [n c h w] in [0, 1], n at most `count`; raises DataError where there is none.
    """
    taken: list[Pixels] = []
    reasons: list[str] = []
    with reading(path) as found:
        for item in found.items:
            try:
                taken.append(fitted(item, spec))
            except Refused as refusal:
                reasons.append(f"{item.name}: {refusal}")
            if len(taken) == count:
                break
    if not taken:
        seen = f" ({len(reasons)} files skipped, such as {reasons[0]})" if reasons else ""
        raise DataError(f"{path} holds no image that can be used{seen}: give a picture, or a folder or archive of pictures")
    return to_floats(torch.from_numpy(np.stack(taken)))


def is_picture(path: Path) -> bool:
    """Return whether a path is that of a single picture file."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


@contextmanager
def reading(path: Path) -> Iterator[Reading]:
    """Open a picture file, folder, archive or array file for reading image by image; raises DataError where that cannot be."""
    if is_picture(path):
        yield Reading(1, [read_picture(path)])
        return
    with at_path(path).open() as found:
        yield found


def fitted(item: Item | Skip, spec: DataSpec) -> Pixels:
    """Return the pixels of an image in the shape of `spec`, uint8 [h w c]; raises Refused with the reason if that cannot be."""
    if isinstance(item, Skip):
        raise Refused(item.reason)
    return fit(item.pixels, (spec.height, spec.width), spec.channels)


def _checked(images: Images, labels: Images | None, where: str) -> tuple[Pixels, np.ndarray | None]:
    prefer: Layout = "channels first" if isinstance(images, Tensor) else "channels last"
    pixels = to_uint8(_numpy(images), where, prefer)
    return pixels, None if labels is None else to_labels(_numpy(labels), len(pixels), where)


def _numpy(values: Images) -> np.ndarray:
    if not isinstance(values, Tensor):
        return np.asarray(values)
    held = values.detach().cpu()
    return np.asarray((held.float() if held.dtype is torch.bfloat16 else held).numpy())


def _digest(pixels: Pixels, labels: np.ndarray | None) -> str:
    digest = sha256(f"{pixels.shape}|{labels is not None}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    if labels is not None:
        digest.update(labels.tobytes())
    return digest.hexdigest()

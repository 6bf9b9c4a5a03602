"""Loading of data sets from settings or from arrays, their training batches, and single images for use with a model."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from simulacra.core.attribute import Attribute
from simulacra.core.batch import DataSpec
from simulacra.core.batch_source import UnpairedBatches
from simulacra.core.errors import DataError, UsageError
from simulacra.core.home import expand_home
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import derive
from simulacra.data.batches import Batches
from simulacra.data.dataset import Dataset, Split, combine, disjoint, split, to_floats
from simulacra.data.formats.arrays import Layout, name_labels, to_labels, to_uint8
from simulacra.data.formats.fitting import fitted
from simulacra.data.formats.refused import Refused
from simulacra.data.formats.torch_datasets import Images, items_of
from simulacra.data.layout.domains import domain_names
from simulacra.data.only_classes import only_classes
from simulacra.data.preparation.prepare import arrange, prepare
from simulacra.data.preparation.prepared import UNKNOWN, HeldTexts
from simulacra.data.preparation.settled import settle
from simulacra.data.semi_supervised import SemiSupervised, labelled_rows
from simulacra.data.settings import DataConfig, DomainsConfig, Settings, without_transforms
from simulacra.data.shards.opening import open_shards
from simulacra.data.shards.streamed import Streamed
from simulacra.data.source import Item, Material, Pixels, Reading, Skip
from simulacra.data.sources import at_path, is_folder, locate, sources, with_domains
from simulacra.data.sources.folder import all_images, is_picture, read_picture
from simulacra.data.vocabularies import captioned_tokens

ImageSource = Images | TorchDataset[Any]
"""Images in memory, or a map-style torch data set."""


def load(config: DataConfig | DomainsConfig, progress: Progress = SILENT) -> Dataset:
    """Return the data set that the settings name; downloads and decodes it unless it is in the cache.

    Raises UsageError for unknown names and contradictory settings, DataError for data that cannot be found, read or verified.
    """
    return load_settled(config, progress)[1]


def load_settled(config: Settings, progress: Progress = SILENT, largest: int = 0) -> tuple[Settings, Dataset]:
    """Return the settings as they are used, and the data set: images of mixed sizes receive a size, `--levels data` a range.

    largest: the largest shorter side of images of one size that is kept, 0 for any: larger ones receive a size, too. Raises the
    same errors as `load`.
    """
    if isinstance(config, DomainsConfig):
        found = with_domains(config, progress)
        chosen = {name: found.domain(name) for name in found.named}  # all, before the first is prepared
        materials = {name: locate(one, progress) for name, one in chosen.items()}
        sized = settle(config, [(materials[name], one) for name, one in chosen.items()], progress, largest)
        if sized is not config:
            return load_settled(sized, progress)
        loaded = {name: _load(one, materials[name], progress) for name, one in chosen.items()}
        own = not any(without_transforms(place) in sources() for place in found.named.values())
        return config, combine(disjoint(loaded) if config.disjoint else loaded, domain_names(found.named) if own else {})
    if config.only_classes:
        every, whole = load_settled(replace(config, only_classes="", limit=0), progress, largest)
        if whole.stream is not None and config.limit:
            whole = load(replace(every, limit=config.limit), progress)
        return replace(config, size=every.size, levels=every.levels), only_classes(whole, config.chosen_classes, config.limit)
    material = locate(config, progress)
    settled = settle(config, [(material, config)], progress, largest)
    return (config, _load(config, material, progress)) if settled is config else load_settled(settled, progress)


def _load(config: DataConfig, material: Material, progress: Progress) -> Dataset:
    """Return the data set of a material."""
    if material.shards is not None and not material.shards.few:
        if config.hold_out:
            raise UsageError(f"--hold-out needs several attributes, and {material.name} is a folder of tar shards: leave it out")
        return open_shards(material.shards, config, progress)
    prepared = prepare(material, config, progress)
    facts = prepared.facts
    images = Split("train", prepared.images, prepared.labels, prepared.captions, prepared.tokens, prepared.files)
    parts = split(images, facts.train, config.validation, config.limit, facts.held_out, facts.validation)
    _, height, width, channels = facts.shape
    vocabulary = facts.vocabulary if prepared.tokens is not None else None
    treatment = config.fit, config.level_range
    spec = DataSpec(channels, height, width, facts.classes, {}, facts.attributes, vocabulary, {}, *treatment)
    return Dataset(facts.name, facts.digest, spec, *parts, facts.skipped, facts.notes)


def training_batches(  # noqa: PLR0917
    data: Dataset, batch: int, seed: int, flip: bool = False, part: tuple[int, int] = (0, 1), labels: int = 0
) -> Batches | SemiSupervised | Streamed | UnpairedBatches:
    """Return the training batches of `batch` images; of each, the slice of `part` = (rank, count) is returned.

    labels: number of training images whose label is used, 0 for all. Several domains are drawn independently, each in its own
    random order, even if two of them have the same images. Raises UsageError for a batch that is larger than the data or cannot
    be shared equally, and for a number of labels that the data cannot have.
    """
    if labels:
        if data.domains or data.stream is not None:
            held = "several domains" if data.domains else "streamed"
            raise UsageError(
                f"--labels {labels} needs images of one source in memory, and {data.name} is {held}: leave --labels out"
            )
        labelled = labelled_rows(data.train, data.spec.classes, labels, seed)
        return SemiSupervised(data.train, labelled, batch, seed, flip, part)
    if data.domains:
        return UnpairedBatches(
            {name: training_batches(own, batch, derive(seed, "domain", name), flip, part) for name, own in data.domains.items()}
        )
    if data.stream is not None:
        return Streamed(data.stream, batch, seed, flip, part)
    return Batches(data.train, batch, seed, flip, part)


def from_array(
    images: ImageSource,
    labels: Images | None = None,
    name: str = "",
    *,
    test_images: ImageSource | None = None,
    test_labels: Images | None = None,
    classes: tuple[str, ...] = (),
    attributes: Sequence[Attribute | str] = (),
    captions: Sequence[str] | None = None,
    test_captions: Sequence[str] | None = None,
    validation: float = 1 / 12,
    progress: Progress = SILENT,
) -> Dataset:
    """Return a data set of images in memory: [n h w], [n h w c] or [n c h w], floats in [0, 1] or whole numbers in 0..255.

    images, test_images: also map-style torch data sets, which are read with their labels, item by item: an image, or an image and
    its class number; images are Pillow images, or bytes or floats in [0, 1] or [-1, 1] in the forms above.
    labels: whole numbers [n], or [n k] for k attributes. classes: names of the classes 0, 1, ...; without them the classes are
    the numbers that occur. attributes: of each column of labels, its name, or its name and the names of the values 0, 1, ...;
    required for k > 1. captions: one text for each image, empty for none. Without test images a tenth of the images becomes test;
    those without test_labels have none. Pixels are stored as uint8.
    Raises DataError for a wrong rank, range or NaN, with the number of the first bad image, and for labels that do not fit;
    UsageError for a torch data set without a length.
    """
    given = items_of(images, labels, progress)
    name, classes = name or given.name, classes or given.classes
    named = [item if isinstance(item, Attribute) else Attribute(item, ()) for item in attributes]
    if classes and named:
        raise DataError(f"{name}: both classes and attributes are given: name the values of the attributes only")
    named = named or [Attribute("", classes)]
    pixels, numbers = _checked(given.images, given.labels, name, len(named))
    keys = [("train", f"{at:09d}") for at in range(len(pixels))]
    if test_images is not None:
        tested = items_of(test_images, test_labels, progress)
        held_out, held_out_numbers = _checked(tested.images, tested.labels, f"{name} (test)", len(named))
        if held_out.shape[1:] != pixels.shape[1:] or (numbers is None and held_out_numbers is not None):
            seen = f"test images {held_out.shape} do not fit images {pixels.shape}"
            raise DataError(f"{name}: {seen}: same shape and labels for both")
        keys += [("test", f"{at:09d}") for at in range(len(held_out))]
        pixels = np.concatenate([pixels, held_out])
        numbers = numbers if numbers is None or held_out_numbers is None else np.concatenate([numbers, held_out_numbers])
    texts = _texts(captions, test_captions, len(pixels), name)
    digest = sha256(f"{pixels.shape}|{numbers is not None}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    found: tuple[Attribute, ...] = ()
    if numbers is not None:
        digest.update(numbers.tobytes())
        numbers, found = name_labels(numbers, named, name)
        missing = np.full((len(pixels) - len(numbers), *numbers.shape[1:]), UNKNOWN)
        numbers = np.concatenate([numbers, missing])
    digest.update(b"" if texts is None else json.dumps(texts).encode())
    order, train, _ = arrange(keys)
    held, vocabulary, tokens = None, None, None
    if texts is not None:
        held = HeldTexts(tuple(texts))[order]
        vocabulary, tokens = captioned_tokens(held.texts, train)
    stored = Split("train", pixels[order], None if numbers is None else numbers[order], held, tokens)
    parts = split(stored, train, validation)
    _, height, width, channels = pixels.shape
    classes, several = found[0].values if found else (), found if len(found) > 1 else ()
    known = None if tokens is None else vocabulary
    spec = DataSpec(channels, height, width, classes, attributes=several, vocabulary=known)
    return Dataset(name, digest.hexdigest(), spec, *parts, notes=given.notes)


@dataclass(frozen=True)
class NamedImages:
    """Images of a path with their names, and the files that cannot be read. images: float32 [n c h w] in [0, 1].

    skipped: files that are not images or cannot be read; unused: number of files that were not read, since `count` were found.
    """

    names: tuple[str, ...]
    images: Tensor
    skipped: tuple[Skip, ...]
    unused: int = 0


def named_images(path: Path, spec: DataSpec, count: int = 0) -> NamedImages:
    """Return the first `count` images (0: all) of an image file, folder, archive or array file, fitted to the shape of `spec`.

    Raises DataError if the path cannot be read, or holds no image; files in it that cannot be read are listed.
    """
    names, taken, skipped = list[str](), list[Pixels](), list[Skip]()
    with reading(path, spec) as found:
        for item in fitted_items(found.items, spec):
            if isinstance(item, Skip):
                skipped.append(item)
                continue
            taken.append(item.pixels)
            names.append(item.name)
            if len(taken) == count:
                break
        unused = found.count - len(taken) - len(skipped)
    if not taken:
        raise no_images(path, skipped)
    return NamedImages(tuple(names), to_floats(torch.from_numpy(np.stack(taken))), tuple(skipped), unused)


def fitted_items(items: Iterable[Item | Skip], spec: DataSpec) -> Iterator[Item | Skip]:
    """Yield items in the shape of `spec`, and those that cannot be read as a Skip with the reason."""
    for item in items:
        try:
            yield fitted(item, (spec.height, spec.width), spec.channels, spec.fit)
        except Refused as refusal:
            yield Skip(item.name, str(refusal))


def no_images(path: Path | str, skipped: Sequence[Skip]) -> DataError:
    """Return the error for a path without an image that can be used, with one of the files that were skipped."""
    seen = f" ({len(skipped)} files skipped, such as {skipped[0].name}: {skipped[0].reason})" if skipped else ""
    return DataError(f"{path} contains no image that can be used{seen}: give an image, or a folder or archive of images")


def reading(path: Path, spec: DataSpec) -> AbstractContextManager[Reading]:
    """Open an image file, folder, archive or array file for reading image by image; raises DataError if it cannot be read.

    The images have their own sizes, of which large JPEG files may be reduced; their levels are those of `spec`. Of a folder or
    archive all images are read, also those outside of folders such as train and test.
    """
    levels = "" if spec.levels is None else f"{spec.levels[0]}..{spec.levels[1]}"
    config = DataConfig(size=max(spec.height, spec.width), levels=levels)
    path = expand_home(path)
    if is_picture(path):
        return nullcontext(Reading(1, [read_picture(path, config)]))
    return all_images(path, config) if is_folder(path) else at_path(path, config).open()


def _checked(images: Images, labels: Images | None, where: str, columns: int) -> tuple[Pixels, np.ndarray | None]:
    """Return pixels uint8 [n h w c] and label numbers int64 [n k] of k = `columns` properties."""
    prefer: Layout = "channels first" if isinstance(images, Tensor) else "channels last"
    pixels = to_uint8(_numpy(images), where, prefer)
    return pixels, None if labels is None else to_labels(_numpy(labels), len(pixels), where, columns)


def _texts(captions: Sequence[str] | None, test_captions: Sequence[str] | None, images: int, name: str) -> list[str] | None:
    """Return the captions of all images; raises DataError for another number of them or other values than texts."""
    if captions is None and test_captions is None:
        return None
    texts = [*(captions or ()), *(test_captions or ())]
    if len(texts) != images or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{name}: there are {len(texts)} captions of {images} images: give one text for each, empty for none")
    return texts


def _numpy(values: Images) -> np.ndarray:
    if not isinstance(values, Tensor):
        return np.asarray(values)
    held = values.detach().cpu()
    return np.asarray((held.float() if held.dtype is torch.bfloat16 else held).numpy())

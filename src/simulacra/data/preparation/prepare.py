"""Preparation: decodes a material once into the cache, completely or not at all."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError
from simulacra.core.files import sync_folder
from simulacra.core.progress import Progress
from simulacra.core.randomness import permutation
from simulacra.core.vocabulary import Vocabulary
from simulacra.data.formats.fitting import fitted
from simulacra.data.formats.refused import Refused
from simulacra.data.layout.folders import ordered
from simulacra.data.locations import CACHE_VARIABLE
from simulacra.data.preparation.combinations import leave_out
from simulacra.data.preparation.prepared import (
    CAPTIONS,
    FACTS,
    FILES,
    IMAGES,
    LABELS,
    TOKENS,
    UNKNOWN,
    Facts,
    Prepared,
    Skipped,
    place,
    publish,
    read,
    temporary_beside,
)
from simulacra.data.preparation.settled import size_for
from simulacra.data.preparation.traits import remarks
from simulacra.data.settings import DataConfig
from simulacra.data.source import Material, Reading, Traits
from simulacra.data.vocabularies import captioned_tokens

TEST_SHARE = 0.1  # held out from a source without test images
SPLIT_SEED = 0  # not the run's seed: all runs have the same splits
_MEASURED_AFTER_MIXED = 50  # images still measured after a second size is found
_DECODED = "decoded.bin"


def prepare(material: Material, config: DataConfig, progress: Progress) -> Prepared:
    """Return the prepared images of a material, from the cache if they are there.

    Raises DataError for a source without images, mixed sizes if config.size is 0 (`choose_size` chooses one), and a cache that
    cannot be written.
    """
    folder = place(material, config)
    if found := read(folder):
        return found
    with temporary_beside(folder) as temporary:
        facts = _write(material, config, temporary, progress)
        publish(temporary, folder)
    for line in (*facts.notes, *([f"skipped {facts.skipped.line()}"] if facts.skipped.total else [])):
        progress.message(f"{material.name}: {line}")
    if found := read(folder):
        return found
    raise DataError(f"{folder} changed while it was written: run again, or set {CACHE_VARIABLE} to another folder")


class _Image(NamedTuple):
    """One decoded image, without its pixels."""

    key: tuple[str, str]
    labels: tuple[str, ...]
    caption: str | None
    digest: str
    shape: tuple[int, ...]
    traits: Traits
    file: str

    def line(self) -> str:
        """Return a text for the digest of all images; a single label as it is, as before there were attributes."""
        label = json.dumps(self.labels) if len(self.labels) > 1 else self.labels[0] if self.labels else "None"
        caption = "" if self.caption is None else f"|{json.dumps(self.caption)}"
        converted = "|sRGB" if self.traits.profile else ""
        return f"{'/'.join(self.key)}|{label}|{self.digest}{caption}{converted}"


class Order(NamedTuple):
    """The order in which images are stored: int64 [n], the first `train` for training and validation, then those for testing.

    validation: number of images of the source's own validation split, the last of the first `train`, or None without one.
    """

    rows: NDArray[np.int64]
    train: int
    validation: int | None = None


def arrange(keys: list[tuple[str, str]]) -> Order:
    """Return the order in which images are stored.

    keys: (side, name) of each image. Each side is shuffled with a fixed seed, so that every prefix of a split is a random
    sample and every split a slice; the order depends on names only. Without test images a tenth of the training images becomes
    test.
    """
    by_name = sorted(range(len(keys)), key=keys.__getitem__)
    sides = ("train", "validation", "test")
    held = {side: np.array([at for at in by_name if keys[at][0] == side], dtype=np.int64) for side in sides}
    train, validation, test = (rows[permutation(len(rows), SPLIT_SEED, "split", side)] for side, rows in held.items())
    if not len(test):
        left = len(train) - max(round(len(train) * TEST_SHARE), 1 if len(train) > 2 else 0)
        train, test = train[:left], train[left:]
    return Order(np.concatenate([train, validation, test]), len(train) + len(validation), len(validation) or None)


def _write(material: Material, config: DataConfig, folder: Path, progress: Progress) -> Facts:
    """Decode the images of a material into a folder; their digest is the same for a folder and its archive."""
    with material.open() as reading, (folder / _DECODED).open("wb") as file:
        images, skipped = _decode(material.name, reading, config, file, progress)
        notes, attributes = [note.what for note in reading.notes], reading.attributes
    for note in remarks({"/".join(image.key): image.traits for image in images}, config):
        notes.append(f"{note.what}: {note.remedy}" if note.severity == "warning" else note.what)
    if not any(image.key[0] == "train" for image in images):
        seen = f"; skipped {skipped.line()}" if skipped.total else ", and is empty"
        advice = "give a folder or archive of images such as .png or .jpg"
        raise DataError(f"{material.name} contains no images for training{seen}: {advice}")
    order, train, validation = arrange([image.key for image in images])
    values, numbers = _labelled(images, attributes, material.classes)
    order, train, held_out = leave_out(order, train, numbers, config.hold_out, material.name)
    if validation is not None and held_out:
        validation = sum(images[at].key[0] == "validation" for at in order[:train])
    shape = _store(folder, order, [image.shape for image in images])
    if numbers is not None:
        np.save(folder / LABELS, numbers[order], allow_pickle=False)
        sync_folder(folder / LABELS)
    if all(image.file for image in images):
        _store_texts(folder / FILES, [images[at].file for at in order])
    captions = [image.caption for at in order if (image := images[at]).caption is not None]
    captioned = len(captions) == len(order)
    vocabulary = _store_captions(folder, captions, train) if captioned else None
    lines = sorted(image.line() for image in images) + ([f"hold out {config.hold_out}"] if config.hold_out else []) + config.marks
    digest = sha256("\n".join(lines).encode()).hexdigest()
    classes, whole = values[0] if values else (), (len(order), *shape)
    pairs = zip(attributes, values, strict=True) if len(values) > 1 else ()
    named = tuple(Attribute(attribute.name, held) for attribute, held in pairs)
    described = (bool(values), classes, skipped, tuple(notes), named, captioned, vocabulary, held_out, validation)
    facts = Facts(material.name, digest, whole, train, *described)
    (folder / FACTS).write_text(json.dumps(asdict(facts), indent=1))
    for path in (folder / FACTS, folder):
        sync_folder(path)
    return facts


def _store_captions(folder: Path, captions: Sequence[str], train: int) -> Vocabulary:
    """Write captions and their tokens; return the vocabulary of the training captions, empty where it is not small."""
    _store_texts(folder / CAPTIONS, captions)
    vocabulary, tokens = captioned_tokens(captions, train)
    if tokens is not None:
        np.save(folder / TOKENS, tokens, allow_pickle=False)
        sync_folder(folder / TOKENS)
    return vocabulary


def _store_texts(path: Path, texts: Sequence[str]) -> None:
    """Write texts, each as JSON on a line of its own."""
    path.write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    sync_folder(path)


def _labelled(
    images: Sequence[_Image], attributes: Sequence[Attribute], classes: tuple[str, ...]
) -> tuple[list[tuple[str, ...]], NDArray[np.int64] | None]:
    """Return the names of the values of each labelled property in order, and the numbers of labels among them.

    Of attributes only the values that occur. Numbers: int64 [n] for one property, [n k] for k, and -1 in splits where not all
    images have labels; None unless all training images have.
    """
    unknown = {image.key[0] for image in images if not image.labels}
    if "train" in unknown:
        return [], None
    known = np.array([image.key[0] not in unknown for image in images])
    columns = list(zip(*(image.labels for image in images if image.key[0] not in unknown), strict=True))
    pairs = zip(attributes, map(set, columns), strict=True) if attributes else ()
    values = [tuple(value for value in attribute.values or ordered(held) if value in held) for attribute, held in pairs]
    values = values or [classes or ordered(set(columns[0]))]
    tables = [{name: number for number, name in enumerate(names)} for names in values]
    numbers = np.full((len(images), len(columns)), UNKNOWN, np.int64)
    numbers[known] = np.array([[table[label] for label in column] for table, column in zip(tables, columns, strict=True)]).T
    return values, numbers[:, 0] if len(columns) == 1 else numbers


def _decode(name: str, reading: Reading, config: DataConfig, file: BinaryIO, progress: Progress) -> tuple[list[_Image], Skipped]:
    """Write the pixels of all images to a file, one after another; raises DataError if they have several sizes."""
    images, skipped, sizes = list[_Image](), dict[str, list[str]](), Counter[tuple[int, int]]()
    with progress.task(f"preparing {name}", reading.count, "images") as meter:
        for item in reading.items:
            try:
                taken = fitted(item, config.shape, config.channels, config.fit)
            except Refused as refusal:
                skipped.setdefault(str(refusal), []).append(item.name)
            else:
                shape = taken.pixels.shape
                sizes[shape[0], shape[1]] += 1
                if len(sizes) == 1:
                    file.write(taken.pixels.tobytes())
                    facts = taken.labels, taken.caption, taken.digest, shape, taken.traits, taken.file
                    images.append(_Image((taken.side, taken.name), *facts))
                elif sizes.total() > len(images) + _MEASURED_AFTER_MIXED:
                    break
            meter.advance()
    if len(sizes) > 1:
        (height, width), count = sizes.most_common(1)[0]
        seen = f"{len(sizes)} sizes among the first {sizes.total()}, most often {width}x{height} ({count})"
        raise DataError(f"{name} has images of mixed sizes, {seen}: add --size {size_for(sizes)} to resize and crop them all")
    return images, Skipped.of(skipped)


def _store(folder: Path, order: np.ndarray, shapes: list[tuple[int, ...]]) -> tuple[int, int, int]:
    """Write the images in order as one array, return their shape; grey among colour images is repeated in all channels."""
    height, width, channels = *shapes[0][:2], max(shape[2] for shape in shapes)
    starts = np.cumsum([0, *(int(np.prod(each)) for each in shapes)])
    decoded = np.asarray(np.memmap(folder / _DECODED, dtype=np.uint8, mode="r"))
    shape = (len(order), height, width, channels)
    images = np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
    for row, at in enumerate(order):
        images[row] = decoded[starts[at] : starts[at + 1]].reshape(shapes[at])
    images.flush()
    sync_folder(folder / IMAGES)
    (folder / _DECODED).unlink()
    return height, width, channels

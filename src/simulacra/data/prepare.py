"""Preparation: decodes a material once into the cache, completely or not at all."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError
from simulacra.core.files import sync_folder
from simulacra.core.progress import Progress
from simulacra.core.randomness import permutation
from simulacra.data.captions import write_captions
from simulacra.data.folder_layout import ordered
from simulacra.data.formats.pixels import Refused, fit
from simulacra.data.locations import CACHE_VARIABLE
from simulacra.data.prepared import CAPTIONS, FACTS, IMAGES, LABELS, Facts, Prepared, Skipped, place, read
from simulacra.data.publish import publish, temporary_beside
from simulacra.data.settings import DataConfig
from simulacra.data.source import Item, Material, Reading, Skip

TEST_SHARE = 0.1  # held out from a source without test images
SPLIT_SEED = 0  # not the run's seed: all runs have the same splits
_MEASURED_AFTER_MIXED = 50  # images still measured after a second size is found
_SUGGESTED_SIZE = 64  # pixels, a size that trains in reasonable time
_DECODED = "decoded.bin"


def prepare(material: Material, config: DataConfig, progress: Progress) -> Prepared:
    """Return the prepared images of a material, from the cache if they are there.

    Raises DataError for a source without images, mixed sizes if config.size is 0, and a cache that cannot be written.
    """
    folder = place(material, config)
    if found := read(folder):
        return found
    with temporary_beside(folder) as temporary:
        facts = _write(material, config, temporary, progress)
        publish(temporary, folder)
    for line in (*facts.notes, *([f"skipped {facts.skipped.line()}"] if facts.skipped.total else [])):
        progress.message(f"{material.name}: {line}")
    prepared = read(folder)
    if prepared is None:
        raise DataError(f"{folder} changed while it was written: run again, or set {CACHE_VARIABLE} to another folder")
    return prepared


@dataclass
class Tally:
    """Names, labels, digests and shapes of the images read so far."""

    keys: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    captions: list[str | None] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def take(self, item: Item, shape: tuple[int, ...]) -> None:
        """Add one image."""
        self.keys.append((item.side, item.name))
        self.labels.append(item.labels)
        self.captions.append(item.caption)
        self.digests.append(item.digest)
        self.shapes.append(shape)

    def skip(self, name: str, reason: str) -> None:
        """Add one file that is not read as an image."""
        self.skipped.setdefault(reason, []).append(name)

    def digest(self) -> str:
        """Return sha256 over the sorted names, labels, captions and contents: the same for a folder and its archive."""
        lines = sorted(
            f"{side}/{name}|{_text(labels)}|{digest}" + ("" if caption is None else f"|{json.dumps(caption)}")
            for (side, name), labels, digest, caption in zip(self.keys, self.labels, self.digests, self.captions, strict=True)
        )
        return sha256("\n".join(lines).encode()).hexdigest()


def _text(labels: tuple[str, ...]) -> str:
    """Return the labels of an image for its digest; a single one as it is, as before there were attributes."""
    return json.dumps(labels) if len(labels) > 1 else labels[0] if labels else "None"


def arrange(keys: list[tuple[str, str]]) -> tuple[np.ndarray, int]:
    """Return the order in which images are stored, int64 [n], and the number of training images, which come first.

    keys: (side, name) of each image. Both sides are shuffled with a fixed seed, so that every prefix of a split is a random
    sample and every split a slice. The order depends on names, not on the order of reading. Without
    test images a tenth becomes test.
    """
    by_name = sorted(range(len(keys)), key=keys.__getitem__)
    test = [at for at in by_name if keys[at][0] == "test"]
    train = [at for at in by_name if keys[at][0] == "train"]
    shuffled = np.array(train, dtype=np.int64)[permutation(len(train), SPLIT_SEED, "split", "train")]
    if test:
        held_out = np.array(test, dtype=np.int64)[permutation(len(test), SPLIT_SEED, "split", "test")]
        return np.concatenate([shuffled, held_out]), len(train)
    test_count = max(round(len(train) * TEST_SHARE), 1 if len(train) > 2 else 0)
    return shuffled, len(train) - test_count


def _write(material: Material, config: DataConfig, folder: Path, progress: Progress) -> Facts:
    with material.open() as reading, (folder / _DECODED).open("wb") as file:
        notes, attributes = tuple(note.text for note in reading.notes), reading.attributes
        tally = _decode(material.name, reading, config, file, progress)
    _require_images(material.name, tally)
    order, train = arrange(tally.keys)
    shape = _common_shape(tally.shapes)
    _store(folder, order, tally.shapes, shape)
    values = _values(tally.labels, attributes, material.classes) if all(tally.labels) else ()
    if values:
        np.save(folder / LABELS, _numbers([tally.labels[at] for at in order], values), allow_pickle=False)
        sync_folder(folder / LABELS)
    if captioned := None not in tally.captions:
        write_captions(folder / CAPTIONS, (tally.captions[at] or "" for at in order))
        sync_folder(folder / CAPTIONS)
    facts = Facts(
        name=material.name,
        digest=tally.digest(),
        shape=(len(order), *shape),
        train=train,
        labelled=bool(values),
        classes=values[0] if values else (),
        skipped=Skipped.of(tally.skipped),
        notes=notes,
        attributes=tuple(map(Attribute, (attribute.name for attribute in attributes), values)) if len(values) > 1 else (),
        captions=captioned,
    )
    (folder / FACTS).write_text(facts.json())
    for path in (folder / FACTS, folder):
        sync_folder(path)
    return facts


def _values(
    labels: Sequence[tuple[str, ...]], attributes: Sequence[Attribute], classes: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the names of the values of each labelled property, in order; of attributes those that occur."""
    occurring = [set(column) for column in zip(*labels, strict=True)]
    if attributes:
        pairs = zip(attributes, occurring, strict=True)
        return tuple(tuple(value for value in attribute.values if value in held) for attribute, held in pairs)
    return (classes or ordered(occurring[0]),)


def _numbers(labels: Sequence[tuple[str, ...]], values: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
    """Return the numbers of labels among the values of each property: int64 [n] for one property, [n k] for k."""
    tables = [{name: number for number, name in enumerate(names)} for names in values]
    numbers = np.array([[table[value] for table, value in zip(tables, row, strict=True)] for row in labels], dtype=np.int64)
    return np.ascontiguousarray(numbers[:, 0]) if len(values) == 1 else numbers


def _decode(name: str, reading: Reading, config: DataConfig, file: BinaryIO, progress: Progress) -> Tally:
    tally, sizes, after = Tally(), Counter[tuple[int, int]](), 0
    with progress.task(f"preparing {name}", reading.count, "images") as meter:
        for item in reading.items:
            if isinstance(item, Skip):
                tally.skip(item.name, item.reason)
            else:
                after += _take(item, config, file, tally, sizes)
            if after > _MEASURED_AFTER_MIXED:
                break
            meter.advance()
    if len(sizes) > 1:
        raise mixed(name, sizes)
    return tally


def _take(item: Item, config: DataConfig, file: BinaryIO, tally: Tally, sizes: Counter[tuple[int, int]]) -> bool:
    """Store one image; return True if it was only measured because sizes are mixed."""
    try:
        pixels = fit(item.pixels, (config.size, config.size) if config.size else None, config.channels)
    except Refused as refusal:
        tally.skip(item.name, str(refusal))
        return False
    sizes[pixels.shape[0], pixels.shape[1]] += 1
    if len(sizes) > 1:
        return True
    file.write(pixels.tobytes())
    tally.take(item, pixels.shape)
    return False


def _common_shape(shapes: list[tuple[int, ...]]) -> tuple[int, int, int]:
    height, width, _ = shapes[0]
    return height, width, max(shape[2] for shape in shapes)


def _store(folder: Path, order: np.ndarray, shapes: list[tuple[int, ...]], shape: tuple[int, int, int]) -> None:
    """Write the images in order as one array; grey images among colour images are repeated in all channels."""
    starts = np.cumsum([0, *(int(np.prod(each)) for each in shapes)])
    decoded = np.asarray(np.memmap(folder / _DECODED, dtype=np.uint8, mode="r"))
    images = np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=np.uint8, shape=(len(order), *shape))
    for row, at in enumerate(order):
        images[row] = decoded[starts[at] : starts[at + 1]].reshape(shapes[at])
    images.flush()
    sync_folder(folder / IMAGES)
    (folder / _DECODED).unlink()


def _require_images(name: str, tally: Tally) -> None:
    if not any(side == "train" for side, _ in tally.keys):
        held = Skipped.of(tally.skipped)
        seen = f"; skipped {held.line()}" if held.total else ", and is empty"
        raise DataError(f"{name} contains no images for training{seen}: give a folder or archive of images such as .png or .jpg")


def mixed(name: str, sizes: Mapping[tuple[int, int], int]) -> DataError:
    """Return the error of images of several sizes, counted by (height, width)."""
    (height, width), count = max(sizes.items(), key=lambda item: item[1])
    seen = f"{len(sizes)} sizes among the first {sum(sizes.values())}, most often {width}x{height} ({count})"
    return DataError(f"{name} has images of mixed sizes, {seen}: {resize_remedy(height, width)}")


def resize_remedy(height: int, width: int) -> str:
    """Return the remedy for mixed sizes, of which this one is the most common."""
    return f"add --size {min(height, width, _SUGGESTED_SIZE)}, or another size, to resize and crop them all"

"""Decoding once: from a material to prepared images in the cache, written whole or not at all."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np

from simulacra.core.errors import DataError
from simulacra.core.files import sync_folder
from simulacra.core.progress import Progress
from simulacra.core.randomness import permutation
from simulacra.data.folder_layout import ordered
from simulacra.data.formats.pixels import Refused, fit
from simulacra.data.locations import CACHE_VARIABLE
from simulacra.data.prepared import FACTS, IMAGES, LABELS, Facts, Prepared, Skipped, place, read
from simulacra.data.publish import publish, temporary_beside
from simulacra.data.settings import DataConfig
from simulacra.data.source import Item, Material, Reading, Skip

TEST_SHARE = 0.1  # of a source that has no test images of its own
SPLIT_SEED = 0  # not the run's: every run and family sees the same splits
_LOOK_ON = 50  # images that are still measured once two sizes have been seen
_MODEST = 64  # pixels, a size that trains in reasonable time; photographs have thousands
_DECODED = "decoded.bin"


def prepare(material: Material, config: DataConfig, progress: Progress) -> Prepared:
    """Return the prepared images of a material, from the cache or decoded now.

    Raises DataError for a source without images, mixed sizes where config.size is 0, and a cache that cannot be written.
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
    """What is noted of each image while its pixels go to disk."""

    keys: list[tuple[str, str]] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def take(self, item: Item, shape: tuple[int, ...]) -> None:
        """Note one image."""
        self.keys.append((item.side, item.name))
        self.labels.append(item.label)
        self.digests.append(item.digest)
        self.shapes.append(shape)

    def skip(self, name: str, reason: str) -> None:
        """Note one file that is not taken."""
        self.skipped.setdefault(reason, []).append(name)

    def digest(self) -> str:
        """Return sha256 over the sorted names, classes and contents: the same for a folder and its archive."""
        lines = sorted(
            f"{side}/{name}|{label}|{digest}"
            for (side, name), label, digest in zip(self.keys, self.labels, self.digests, strict=True)
        )
        return sha256("\n".join(lines).encode()).hexdigest()


def arrange(keys: list[tuple[str, str]]) -> tuple[np.ndarray, int]:
    """Return the order in which images are stored, int64 [n], and how many of them, the first ones, are for training.

    keys: (side, name) of each image. Both sides are shuffled by a fixed seed, so that every prefix of a split is a fair sample
    and every split a slice; names decide, not the order in which files were read. Without test images a tenth becomes test.
    """
    by_name = sorted(range(len(keys)), key=keys.__getitem__)
    test = [at for at in by_name if keys[at][0] == "test"]
    train = [at for at in by_name if keys[at][0] == "train"]
    shuffled = np.array(train, dtype=np.int64)[permutation(len(train), SPLIT_SEED, "split", "train")]
    if test:
        held_out = np.array(test, dtype=np.int64)[permutation(len(test), SPLIT_SEED, "split", "test")]
        return np.concatenate([shuffled, held_out]), len(train)
    carved = max(round(len(train) * TEST_SHARE), 1 if len(train) > 2 else 0)
    return shuffled, len(train) - carved


def _write(material: Material, config: DataConfig, folder: Path, progress: Progress) -> Facts:
    with material.open() as reading, (folder / _DECODED).open("wb") as file:
        notes = reading.notes
        tally = _decode(material.name, reading, config, file, progress)
    _require_images(material.name, tally)
    order, train = arrange(tally.keys)
    shape = _common_shape(tally.shapes)
    _store(folder, order, tally.shapes, shape)
    classes = material.classes or ordered({label for label in tally.labels if label is not None})
    if labelled := None not in tally.labels:
        number = {name: at for at, name in enumerate(classes)}
        np.save(folder / LABELS, np.array([number[tally.labels[at] or ""] for at in order], dtype=np.int64), allow_pickle=False)
        sync_folder(folder / LABELS)
    size = (len(order), *shape)
    skipped = Skipped.of(tally.skipped)
    facts = Facts(material.name, tally.digest(), size, train, labelled, classes if labelled else (), skipped, notes)
    (folder / FACTS).write_text(facts.json())
    for path in (folder / FACTS, folder):
        sync_folder(path)
    return facts


def _decode(name: str, reading: Reading, config: DataConfig, file: BinaryIO, progress: Progress) -> Tally:
    tally, sizes, after = Tally(), Counter[tuple[int, int]](), 0
    with progress.task(f"preparing {name}", reading.count, "images") as meter:
        for item in reading.items:
            if isinstance(item, Skip):
                tally.skip(item.name, item.reason)
            else:
                after += _take(item, config, file, tally, sizes)
            if after > _LOOK_ON:
                break
            meter.advance()
    if len(sizes) > 1:
        raise mixed(name, sizes)
    return tally


def _take(item: Item, config: DataConfig, file: BinaryIO, tally: Tally, sizes: Counter[tuple[int, int]]) -> bool:
    """Store one image; return whether it was only measured, since sizes are mixed."""
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
    """Write the images in their order as one array, grey ones among colours in all channels."""
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
        raise DataError(f"{name} holds no images for training{seen}: give a folder or archive of images such as .png or .jpg")


def mixed(name: str, sizes: Mapping[tuple[int, int], int]) -> DataError:
    """Return the error of images of several sizes, counted by (height, width)."""
    (height, width), count = max(sizes.items(), key=lambda item: item[1])
    seen = f"{len(sizes)} sizes among the first {sum(sizes.values())}, most often {width}x{height} ({count})"
    return DataError(f"{name} has images of mixed sizes, {seen}: {resize_remedy(height, width)}")


def resize_remedy(height: int, width: int) -> str:
    """Return what to do about mixed sizes of which this one is the most common."""
    return f"add --size {min(height, width, _MODEST)}, or another size, to resize and crop them all"

"""Decoding of the samples of shards to pixels of one shape and class numbers."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulacra.core.errors import DataError
from simulacra.core.randomness import permutation
from simulacra.data.formats.colour import Levels
from simulacra.data.formats.fitting import fit
from simulacra.data.formats.pixels import decode_file, decode_in_thread
from simulacra.data.formats.refused import Refused
from simulacra.data.preparation.prepare import SPLIT_SEED
from simulacra.data.settings import DataConfig
from simulacra.data.shards.index import Index
from simulacra.data.shards.reading import Sample, Shard, samples
from simulacra.data.source import Item, Pixels, Side, Skip, SplitName


@dataclass(frozen=True)
class Form:
    """How the images of a folder of shards are decoded. shape: (h, w, c); numbers: class number by text."""

    folder: Path
    shape: tuple[int, int, int]
    config: DataConfig
    numbers: dict[str, int]

    @staticmethod
    def of(index: Index, config: DataConfig) -> "Form":
        """Return the form for the settings; without a size, that of most images. Raises DataError where none can be read."""
        if not index.sizes:
            raise DataError(f"{index.folder} contains no readable image: download or create the shards again")
        height, width = config.shape or next(iter(index.sizes))
        numbers = {text: number for number, text in enumerate(index.labels)}
        return Form(index.folder, (height, width, config.channels or index.channels), config, numbers)

    def pixels(self, sample: Sample, path: Path) -> Pixels:
        """Return one image [h w c]; thread-safe. Raises Refused if it cannot be decoded, DataError if it has another size."""
        height, width, channels = self.shape
        decoded = decode_in_thread(sample.content, self.config.enough, self.config.level_range)
        found = fit(decoded, self.config.shape, channels, self.config.fit)
        if found.shape != self.shape:
            seen = f"{found.shape[1]}x{found.shape[0]}, the others {width}x{height}"
            raise DataError(f"{path}: {sample.name} is {seen}: add --size to resize and crop them all")
        return found

    def number(self, sample: Sample, path: Path) -> int:
        """Return the number of a sample's class, 0 without classes; raises DataError for an unknown class."""
        if self.numbers and sample.label not in self.numbers:
            raise DataError(f"{path}: {sample.name} has the unknown class {sample.label!r}: create the shard again")
        return self.numbers.get(sample.label or "", 0)


@dataclass(frozen=True)
class Part:
    """Images `start` to `stop` of one shard, which are images `at`, `at` + 1, ... of a row of images."""

    shard: Shard
    start: int
    stop: int
    at: int


def decode_part(
    form: Form, part: Part, images: Pixels, labels: NDArray[np.int64], stopped: Callable[[], bool]
) -> list[tuple[int, Skip]]:
    """Decode one part into its positions of a row; return positions of the images that could not be decoded, and the reasons.

    images: uint8 [n h w c] of the row; labels: int64 [n]; stopped: returns True if decoding is cancelled.
    Raises DataError, naming the shard, if it is missing, damaged, or has another number of images than in the index.
    """
    failed, path, at = list[tuple[int, Skip]](), form.folder / part.shard.file, part.at
    for sample in samples(path, range(part.start, part.stop), part.stop - 1):
        if stopped():
            return failed
        labels[at] = form.number(sample, path)
        try:
            images[at] = form.pixels(sample, path)
        except Refused as refusal:
            failed.append((at, Skip(f"{part.shard.file}/{sample.name}", str(refusal))))
        at += 1
    if at - part.at != part.stop - part.start:
        seen = f"ends before image {part.stop} of {part.shard.images}, the number in the index"
        raise DataError(f"{path} {seen}: restore the original shard")
    return failed


def items(
    index: Index, name: SplitName, chosen: NDArray[np.int64] | None = None, enough: int = 0, levels: Levels | None = None
) -> Iterator[Item | Skip]:
    """Yield the images of a split as items, shard by shard: all, or those with the chosen numbers.

    Without `chosen`, items are on the side of their split; chosen images are all on the side train.
    """
    names = dict(zip(index.labels, index.classes, strict=True))
    side: Side = name if chosen is None else "train"
    start = 0
    for shard in index.splits[name]:
        rows: Container[int] = range(shard.images)
        last = shard.images
        if chosen is not None:
            held = chosen[slice(*np.searchsorted(chosen, (start, start + shard.images)))] - start
            rows, last = set(held.tolist()), int(held.max(initial=-1))
        start += shard.images
        for sample in samples(index.folder / shard.file, rows, last) if last >= 0 else ():
            yield _item(sample, (side, f"{shard.file}/{sample.name}"), names, enough, levels)


def _item(sample: Sample, key: tuple[Side, str], names: Mapping[str, str], enough: int, levels: Levels | None) -> Item | Skip:
    side, name = key
    try:
        image = decode_file(sample.content, enough, levels)
    except Refused as refusal:
        return Skip(name, str(refusal))
    label = names.get(sample.label or "")
    labels, digest = () if label is None else (label,), sha256(sample.content).hexdigest()
    return Item(name, side, labels, image.pixels, digest, file=name, traits=image.traits)


def choose(shards: tuple[Shard, ...], count: int, few: int = 0) -> NDArray[np.int64]:
    """Return the numbers of `count` images at random, or of all if there are fewer, with a fixed seed: int64, ascending.

    few: number of shards, also chosen at random, from which they are taken; 0 for all.
    """
    counts = np.array([shard.images for shard in shards], dtype=np.int64)
    starts = np.cumsum(counts) - counts
    kept = np.sort(permutation(len(shards), SPLIT_SEED, "shards")[: few or None])
    numbers = np.concatenate([np.empty(0, np.int64), *(np.arange(starts[at], starts[at] + counts[at]) for at in kept)])
    return np.sort(numbers[permutation(len(numbers), SPLIT_SEED, "chosen")[:count]])

"""Data sets of shards: training images are streamed, random samples of each split of bounded size are decoded."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from simulacra.core.batch import DataSpec
from simulacra.core.progress import Progress
from simulacra.data.dataset import Dataset, Split
from simulacra.data.formats.colour import Levels
from simulacra.data.preparation.prepare import prepare
from simulacra.data.preparation.prepared import Skipped
from simulacra.data.preparation.traits import ANY_LEVELS, measured_extremes
from simulacra.data.settings import DataConfig
from simulacra.data.shards.decoding import Form, choose, items
from simulacra.data.shards.index import NAMES, Index, split_title
from simulacra.data.shards.streamed import Stream
from simulacra.data.source import Finding, Material, Reading, SplitName

HELD = 10_000  # largest number of images of each split that are decoded into the cache
_SAMPLED = 64  # largest number of training shards from which the sample of training images is taken
_REMEDY = "give every image a class (.cls or .json), or none"


def material(index: Index, config: DataConfig) -> Material:
    """Return all images of the shards as a material, for checks and for few shards that are decoded completely."""
    total = sum(index.images(name) for name in NAMES)
    notes = tuple(Finding("unlabelled", note, _REMEDY, "warning") for note in index.notes)

    def reading(levels: Levels | None) -> Reading:
        every = (items(index, name, None, config.enough, levels) for name in NAMES)
        return Reading(total, chain.from_iterable(every), notes)

    return Material(
        index.name,
        f"shards|{index.digest}",
        lambda: nullcontext(reading(config.level_range)),
        index.classes,
        index,
        lambda progress: index.sizes,
        lambda progress: measured_extremes(index.name, reading(ANY_LEVELS), progress),
    )


def open_shards(index: Index, config: DataConfig, progress: Progress) -> Dataset:
    """Return the data set of shards; the images held of each split are decoded into the cache.

    With config.limit, that many training images are decoded as well, and none are streamed.
    """
    form = Form.of(index, config)
    height, width, channels = form.shape
    fitted = replace(config, channels=channels)
    known = {name: choose(index.splits[name], HELD) for name in NAMES[1:]}
    known["train"] = choose(index.splits["train"], config.limit or HELD, 0 if config.limit else _SAMPLED)
    splits = {name: _split(index, name, known[name], fitted, progress) for name in NAMES}
    train, validation, test = (splits[name][0] for name in NAMES)
    parts = [splits[name][1] for name in NAMES]
    counts = sum((Counter(part.counts) for part in parts), Counter[str]())
    examples = {reason: tuple(chain(*(part.examples.get(reason, ()) for part in parts))) for reason in counts}
    stream = None if config.limit else Stream(index.splits["train"], form, progress.message)
    notes = tuple(note for name in NAMES for note in _notes(index, name, len(known[name]), config.limit))
    spec = DataSpec(channels, height, width, index.classes, fit=config.fit, levels=config.level_range)
    digest = sha256("\n".join([index.digest, *config.marks]).encode()).hexdigest() if config.marks else index.digest
    return Dataset(index.name, digest, spec, train, validation, test, Skipped(counts, examples), notes, stream)


def _split(
    index: Index, name: SplitName, chosen: NDArray[np.int64], config: DataConfig, progress: Progress
) -> tuple[Split, Skipped]:
    """Return the chosen images of a split, decoded."""
    if not len(chosen):
        nothing = np.empty((0, *Form.of(index, config).shape), dtype=np.uint8)
        return Split(name, nothing, np.empty(0, dtype=np.int64) if index.labels else None), Skipped()
    key = f"shards|{index.digest}|{name}|{index.splits[name][0].file}|{len(index.splits[name])}|{len(chosen)}"
    notes = tuple(Finding("shards", note) for note in _notes(index, name, len(chosen), config.limit))  # reported when decoded

    def reading() -> Reading:
        return Reading(len(chosen), items(index, name, chosen, config.enough, config.level_range), notes)

    sample = Material(split_title(index.name, name), key, lambda: nullcontext(reading()), index.classes)
    prepared = prepare(sample, config, progress)
    return Split(name, prepared.images, prepared.labels, stored_files=prepared.files), prepared.facts.skipped


def _notes(index: Index, name: SplitName, held: int, limit: int) -> Iterator[str]:
    """Yield remarks on one split, of which `held` images are decoded."""
    if name == "train":
        yield from index.notes
        if not limit:
            yield f"{index.images(name):,} training images are streamed from {len(index.splits[name])} shards"
    elif held < index.images(name):
        yield f"{held:,} of {index.images(name):,} {name} images are used, chosen by a fixed seed"
    if name in index.held_out:
        yield index.held_out[name]

"""Index of a folder of shards: stored beside the shards, or counted once and kept in the cache."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from simulacra.core.errors import DataError
from simulacra.core.files import write_json
from simulacra.core.progress import Progress
from simulacra.data.formats.archives import is_run
from simulacra.data.formats.kinds import SUFFIXES
from simulacra.data.locations import cache_folder
from simulacra.data.shards.reading import Shard, count
from simulacra.data.source import SplitName

FORMAT = 1  # raise when shards.json would differ for the same shards
_COUNTS = 2  # raise when the counts would differ for the same shards
INDEX = "shards.json"
NAMES: tuple[SplitName, SplitName, SplitName] = ("train", "validation", "test")
_NUMBERED = re.compile(r"^[^.].*\d\.tar$|^\d\.tar$")
_WORDS = {"val": NAMES[1], "valid": NAMES[1], "validation": NAMES[1], "test": NAMES[2], "testing": NAMES[2]}
_TEST_SHARE = 0.1  # of shards without test images, as for other sources
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True)
class Index:
    """Shards and properties of their images.

    digest: sha256 over the contents if the shards have an index, else over the names and sizes of all files in them; splits: the
    shards of each split; sizes: images by (height, width); channels: 1 or 3; labels: texts that denote the classes in the shards,
    in the order of class numbers, empty without classes; classes: their names; notes: problems of the images; held_out: for
    splits without shards, a note on the training shards held out for them; few: whether there are too few shards to hold any
    out, so that all images are decoded as for other sources.
    """

    folder: Path
    digest: str
    splits: Mapping[SplitName, tuple[Shard, ...]]
    sizes: Mapping[tuple[int, int], int]
    channels: int
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    held_out: Mapping[SplitName, str] = field(default_factory=dict)
    few: bool = False

    @property
    def name(self) -> str:
        """Name of the data set: the folder's name."""
        return self.folder.resolve().name

    def images(self, name: SplitName) -> int:
        """Return the number of images in a split."""
        return sum(shard.images for shard in self.splits[name])


def holds_shards(folder: Path) -> bool:
    """Return whether a folder contains shards: it has an index, or tar archives with numbers and no image beside or below."""
    try:
        if (folder / INDEX).is_file():
            return True
        found = False
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                return False  # at the first image: there may be millions
            found = found or bool(_NUMBERED.search(path.name))
        return found and not _has_images(folder)
    except OSError:
        return False


def _has_images(folder: Path) -> bool:
    """Return whether a folder has images in its folders, as where an archive is unpacked beside itself; runs do not count."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and not is_run(Path(place, name))]
        if any(Path(name).suffix.lower() in SUFFIXES for name in files):
            return True
    return False


def read_index(folder: Path, validation: float, progress: Progress) -> Index:
    """Return the index of a folder of shards; without one, the images of every shard are counted once.

    validation: fraction of the training images held out if no shards are named for validation.
    Raises DataError for a folder without shards, a damaged index, and shards that are missing or truncated.
    """
    index = _packed(folder) if (folder / INDEX).is_file() else _counted(folder, progress)
    if not index.images("train"):
        raise DataError(f"{folder} contains no images for training: give a folder of tar shards with images such as .png or .jpg")
    return _hold_out(index, validation)


def _packed(folder: Path) -> Index:
    path = folder / INDEX
    try:
        table: dict[str, Any] = json.loads(path.read_text())
        shards = {name: tuple(Shard(**row) for row in table["shards"].get(name, ())) for name in NAMES}
        height, width, channels = map(int, table["shape"])
        classes = tuple(map(str, table["classes"]))
        known = table["format"] == FORMAT
    except (OSError, *_DAMAGED) as error:
        raise DataError(f"{path} is damaged ({error}): pack the shards again, or remove it to have them counted") from error
    if not known:
        raise DataError(f"{path} has format {table['format']}, expected {FORMAT}: pack the shards again, or remove it")
    every = [shard for name in NAMES for shard in shards[name]]
    for shard in every:
        _require(folder, shard)
    total = sum(shard.images for shard in every)
    labels = tuple(map(str, range(len(classes))))
    return Index(folder, str(table["digest"]), shards, {(height, width): total}, channels, labels, classes)


def _require(folder: Path, shard: Shard) -> None:
    """Raise DataError unless a shard exists in the folder with its size in the index."""
    path = folder / shard.file
    if Path(shard.file).name != shard.file:
        raise DataError(f"{folder / INDEX} names {shard.file!r}, which is not a file of its folder: pack the shards again")
    held = path.stat().st_size if path.is_file() else None
    if held != shard.size:
        seen = "is missing" if held is None else f"has {held:,} bytes, expected {shard.size:,}"
        raise DataError(f"{path} {seen}: copy or pack the shards again")


def _counted(folder: Path, progress: Progress) -> Index:
    """Return the index of shards without shards.json, from the cache if they were counted before."""
    try:
        paths = sorted(path for path in folder.glob("[!.]*.tar") if path.is_file())
        facts = [path.stat() for path in paths]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}: check its permissions") from error
    if not paths:
        raise DataError(f"{folder} contains no tar shards: give a folder with files such as train-000000.tar")
    listing = [f"{path.name}|{fact.st_size}|{fact.st_mtime_ns}" for path, fact in zip(paths, facts, strict=True)]
    key = sha256("\n".join([str(_COUNTS), str(folder.resolve()), *listing]).encode()).hexdigest()[:16]
    kept = cache_folder() / "shards" / f"{folder.resolve().name}-{key}.json"
    with suppress(OSError, *_DAMAGED):
        return _named(folder, json.loads(kept.read_text()))
    table = count(folder.resolve().name, paths, progress)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {kept.parent}: {error.strerror}: free some space there") from error
    write_json(kept, table)
    return _named(folder, table)


def _named(folder: Path, table: Mapping[str, Any]) -> Index:
    """Return the index of counted shards, whose names denote the splits."""
    shards = [Shard(**row) for row in table["shards"]]
    splits = {name: tuple(shard for shard in shards if split_named(shard.file) == name) for name in NAMES}
    digest = sha256("\n".join(table["digests"]).encode()).hexdigest()
    sizes = {(int(height), int(width)): int(number) for height, width, number in table["sizes"]}
    labels = tuple(table["labels"])
    return Index(folder, digest, splits, sizes, int(table["channels"]), labels, labels, tuple(table["notes"]))


def split_title(name: str, split: SplitName) -> str:
    """Return the name of the decoded images of one split of shards in the cache."""
    return f"{name} ({split})"


def split_named(file: str) -> SplitName:
    """Return the split that the name of a shard denotes.

    >>> split_named("imagenet-val-000001.tar"), split_named("000001.tar")
    ('validation', 'train')
    """
    words = re.split(r"[^a-z]+", file.removesuffix(".tar").lower())
    return next((_WORDS[word] for word in words if word in _WORDS), "train")


def _hold_out(index: Index, validation: float) -> Index:
    """Hold out whole shards from the end of the training shards for the splits that have none, with a note.

    At least one shard each, and at least one remains for training; with too few shards none is held out and none is streamed.
    """
    shares: dict[SplitName, float] = {"test": _TEST_SHARE, "validation": validation}
    wanted = [name for name, share in shares.items() if share and not index.images(name)]
    if len(index.splits["train"]) <= len(wanted):
        return replace(index, few=True)
    total, splits = index.images("train"), dict(index.splits)
    notes: dict[SplitName, str] = {}
    for later, name in enumerate(wanted, 1 - len(wanted)):
        rest = splits["train"]
        taken = _last(rest, shares[name] * total, len(rest) - 1 + later)
        splits["train"], splits[name] = rest[:-taken], rest[-taken:]
        held = rest[-1].file if taken == 1 else f"{rest[-taken].file} to {rest[-1].file}"
        notes[name] = f"no shards are named for {name}: {held} {'is' if taken == 1 else 'are'} held out for it"
    return replace(index, splits=splits, held_out=notes)


def _last(shards: Sequence[Shard], images: float, most: int) -> int:
    """Return the number of last shards that contain about `images` images: at least one, at most `most`."""
    taken, held = 0, 0
    while taken < most and (not taken or held + shards[-taken - 1].images / 2 <= images):
        taken += 1
        held += shards[-taken].images
    return taken

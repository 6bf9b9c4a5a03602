"""What a folder of shards holds, known without reading it: its own index, or that of one counting kept in the cache."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from simulacra.core.errors import DataError
from simulacra.core.files import write_json
from simulacra.core.progress import Progress
from simulacra.data.formats.pixels import SUFFIXES
from simulacra.data.locations import cache_folder
from simulacra.data.shards.count import Counted, Shard, count
from simulacra.data.source import SplitName

FORMAT = 1  # raise when shards.json or what is counted would differ for the same shards
INDEX = "shards.json"
NAMES: tuple[SplitName, SplitName, SplitName] = ("train", "validation", "test")
_NUMBERED = re.compile(r"^[^.].*\d\.tar$|^\d\.tar$")
_WORDS: Mapping[str, SplitName] = {
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_TEST_SHARE = 0.1  # of shards without test images of their own, as elsewhere
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True)
class Index:
    """Shards and what their images are like.

    digest: sha256 over the contents where the shards were packed here, else over the names and sizes of all files in them;
    splits: the shards of each split; sizes: images by (height, width); channels: 1 or 3; labels: the texts that stand for the
    classes, in the order of class numbers, empty where there are none; classes: their names; notes: what is amiss with the
    images; held_out: for splits without shards of their own, what was taken from training for them;
    few: whether there are too few shards for that, so that all images are decoded, as of any other source.
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
        """What results call the images: the folder's name."""
        return self.folder.resolve().name

    def images(self, name: SplitName) -> int:
        """Return the number of images in a split."""
        return sum(shard.images for shard in self.splits[name])


def holds_shards(folder: Path) -> bool:
    """Return whether a folder is one of shards: it has an index, or tar archives with numbers and no picture beside them."""
    try:
        if (folder / INDEX).is_file():
            return True
        found = False
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                return False  # at the first one: there may be a million
            found = found or bool(_NUMBERED.search(path.name))
    except OSError:
        return False
    return found


def read_index(folder: Path, validation: float, progress: Progress) -> Index:
    """Return the index of a folder of shards; where it has none, every shard is counted, once.

    validation: share of the training images that becomes validation where no shards are named so.
    Raises DataError for a folder without shards, a damaged index, and shards that are missing or cut short.
    """
    index = _packed(folder) if (folder / INDEX).is_file() else _counted(folder, progress)
    if not index.images("train"):
        raise DataError(f"{folder} holds no images for training: give a folder of tar shards with images such as .png or .jpg")
    return _carve(index, validation)


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
    for shard in (shard for name in NAMES for shard in shards[name]):
        _require(folder, shard)
    total = sum(shard.images for name in NAMES for shard in shards[name])
    labels = tuple(map(str, range(len(classes))))
    return Index(folder, str(table["digest"]), shards, {(height, width): total}, channels, labels, classes)


def _require(folder: Path, shard: Shard) -> None:
    """Raise DataError unless a shard stands in the folder, whole."""
    path = folder / shard.file
    if Path(shard.file).name != shard.file:
        raise DataError(f"{folder / INDEX} names {shard.file!r}, which is no file of its folder: pack the shards again")
    held = path.stat().st_size if path.is_file() else None
    if held != shard.size:
        seen = "is missing" if held is None else f"has {held:,} bytes, expected {shard.size:,}"
        raise DataError(f"{path} {seen}: copy or pack the shards again")


def _counted(folder: Path, progress: Progress) -> Index:
    """Return the index of shards that others have made, from the cache or counted now."""
    try:
        paths = sorted(path for path in folder.glob("[!.]*.tar") if path.is_file())
        facts = [path.stat() for path in paths]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}: check its permissions") from error
    if not paths:
        raise DataError(f"{folder} holds no tar shards: give a folder with files such as train-000000.tar")
    listing = [f"{path.name}|{fact.st_size}|{fact.st_mtime_ns}" for path, fact in zip(paths, facts, strict=True)]
    key = sha256("\n".join([str(FORMAT), str(folder.resolve()), *listing]).encode()).hexdigest()[:16]
    kept = cache_folder() / "shards" / f"{folder.resolve().name}-{key}.json"
    counted = _kept(kept) or _keep(kept, count(folder.resolve().name, paths, progress))
    return _named(folder, counted)


def _kept(path: Path) -> Counted | None:
    try:
        return Counted.of(json.loads(path.read_text()))
    except (OSError, *_DAMAGED):
        return None


def _keep(path: Path, counted: Counted) -> Counted:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {path.parent}: {error.strerror}: free some space there") from error
    write_json(path, counted.table())
    return counted


def _named(folder: Path, counted: Counted) -> Index:
    splits: dict[SplitName, tuple[Shard, ...]] = {
        name: tuple(shard for shard in counted.shards if split_named(shard.file) == name) for name in NAMES
    }
    if not splits["test"]:  # as with folders: what is called validation, without a test set, is what others report on
        splits |= {"test": splits["validation"], "validation": ()}
    digest = sha256("\n".join(counted.digests).encode()).hexdigest()
    labels = counted.labels
    return Index(folder, digest, splits, counted.sizes, counted.channels, labels, labels, counted.notes)


def split_title(name: str, split: SplitName) -> str:
    """Return what the decoded images of one split of shards are called in the cache."""
    return f"{name} ({split})"


def split_named(file: str) -> SplitName:
    """Return which split the name of a shard speaks of.

    >>> split_named("imagenet-val-000001.tar"), split_named("000001.tar")
    ('validation', 'train')
    """
    words = re.split(r"[^a-z]+", file.removesuffix(".tar").lower())
    return next((_WORDS[word] for word in words if word in _WORDS), "train")


def _carve(index: Index, validation: float) -> Index:
    """Take whole shards off the end of the training shards for the splits that have none, and say so.

    At least one shard each, and one is left for training; with too few shards nothing is taken, and nothing will be streamed.
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
    """Return how many shards at the end hold about `images` images: at least one, at most `most`."""
    taken, held = 0, 0
    while taken < most and (not taken or held + shards[-taken - 1].images / 2 <= images):
        taken += 1
        held += shards[-taken].images
    return taken

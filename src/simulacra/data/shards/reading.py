"""Reading and counting the samples of shards; members whose names agree up to the first dot form a sample."""

import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import Progress
from simulacra.data.formats.archives import Tar, tar
from simulacra.data.formats.kinds import SUFFIXES
from simulacra.data.formats.pixels import measure
from simulacra.data.formats.refused import Refused
from simulacra.data.layout.folders import ordered

_IMAGE_SUFFIXES = (*(first := ("png", "jpg", "jpeg", "webp")), *sorted({suffix[1:] for suffix in SUFFIXES} - set(first)))


@dataclass(frozen=True)
class Sample:
    """One image of a shard: its name, the bytes of its file, and the text of its class or None."""

    name: str
    content: bytes
    label: str | None


def webdataset(module: str) -> ModuleType:
    """Return a module of the package webdataset; raises UsageError with the remedy if it is not installed."""
    try:
        return import_module(f"webdataset.{module}")
    except ImportError as error:
        remedy = "pip install 'simulacra[shards]', or pip install webdataset"
        raise UsageError(f"tar shards need the package webdataset, which is not installed: {remedy}") from error


def samples(path: Path, rows: Container[int] = range(2**62), last: int = 2**62) -> Iterator[Sample]:
    """Yield the samples of a shard that contain an image and whose number, from 0, is in `rows`; none after number `last`.

    Of the package webdataset only the grouping of names is used, not its decoders (one unpickles) and not its opening of files
    (it starts programs): members are read by data/formats/archives.py, and only images, `.cls` and `.json` are read.
    Raises DataError for a shard that is missing, damaged or truncated.
    """
    with tar(path) as archive:
        named = (
            (next((group[kind] for kind in _IMAGE_SUFFIXES if kind in group), ""), group) for group in _groups(path, archive)
        )
        for number, (name, group) in enumerate((name, group) for name, group in named if name):
            if number in rows:
                yield _sample(path, archive, name, group)
            if number >= last:
                return


def _groups(path: Path, archive: Tar) -> Iterator[Mapping[str, str]]:
    """Yield for each sample the name of its member by suffix, in lower case."""
    group_by_keys: Callable[[Iterable[object]], Iterator[Mapping[str, str]]] = webdataset("tariterators").group_by_keys
    members = ({"fname": entry.name, "data": entry.name, "__url__": ""} for entry in archive.walk() if not entry.refusal)
    try:
        yield from group_by_keys(members)
    except ValueError as error:
        raise DataError(f"{path} contains two files of one name ({error.args[0]}): create the shard again") from error


def _sample(path: Path, archive: Tar, name: str, group: Mapping[str, str]) -> Sample:
    try:
        content = archive.read(name)
        label = _label({suffix: archive.read(group[suffix]) for suffix in ("cls", "json") if suffix in group})
    except Refused as error:
        raise DataError(f"{path} is damaged or truncated at {name}: download or create the shard again") from error
    return Sample(name, content, label)


def _label(held: Mapping[str, bytes]) -> str | None:
    """Return the text of a class: the content of `.cls`, or "label" in `.json`; None without either."""
    if "cls" in held:
        return held["cls"].decode(errors="replace").strip() or None
    try:
        table = json.loads(held.get("json", b"{}"))
    except (ValueError, RecursionError):
        return None
    label = table.get("label") if isinstance(table, dict) else None
    return str(label) if isinstance(label, int | str) and str(label) else None


@dataclass(frozen=True)
class Shard:
    """One archive: its file name, number of images, and size in bytes."""

    file: str
    images: int
    size: int


def count(name: str, paths: Sequence[Path], progress: Progress) -> dict[str, Any]:
    """Count the images in the shards at `paths` in one pass; raises DataError for one that is damaged or truncated.

    Returns a table for JSON. shards: fields of each `Shard`; digests: of the names and sizes of the files in each shard; sizes:
    height, width and number of images, the most frequent first; channels: 1 if all images are grey, else 3; labels: texts of the
    classes in order, empty unless every image has one; notes: problems.
    """
    labels, shapes, counted = Counter[str | None](), Counter[tuple[int, int, int]](), list[tuple[Shard, str]]()
    with progress.task(f"counting {name}", len(paths), "shards") as meter:
        for path in paths:
            counted.append(_one(path, labels, shapes))
            meter.advance()
    sizes = Counter[tuple[int, int]]()
    for (height, width, _), number in shapes.items():
        sizes[height, width] += number
    classes, notes = ordered({label for label in labels if label is not None}), list[str]()
    if classes and labels[None]:
        notes = [f"{labels[None]} of {labels.total()} images have no class, neither .cls nor .json: no image has a class"]
    return {
        "shards": [asdict(shard) for shard, _ in counted],
        "digests": [digest for _, digest in counted],
        "sizes": [[*size, number] for size, number in sizes.most_common()],
        "channels": max((channels for _, _, channels in shapes), default=1),
        "labels": [] if labels[None] else [*classes],
        "notes": notes,
    }


def _one(path: Path, labels: Counter[str | None], shapes: Counter[tuple[int, int, int]]) -> tuple[Shard, str]:
    """Count the images of one shard by label and, as their headers declare, by (height, width, channels)."""
    listing, images = sha256(), 0
    for sample in samples(path):
        labels[sample.label] += 1
        with suppress(Refused):  # reported when it is decoded
            shapes[measure(BytesIO(sample.content))] += 1
        listing.update(f"{sample.name}|{len(sample.content)}|{sample.label}\n".encode())
        images += 1
    return Shard(path.name, images, path.stat().st_size), f"{path.name}|{listing.hexdigest()}"

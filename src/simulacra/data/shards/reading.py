"""Reading the samples of one shard in one pass; members whose names agree up to the first dot form a sample."""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from simulacra.core.errors import DataError, UsageError
from simulacra.data.formats.archives import Tar, tar
from simulacra.data.formats.pixels import SUFFIXES, Refused

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

"""The samples of one shard, in one pass: members whose names agree up to the first dot belong together."""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from simulacra.core.errors import DataError, UsageError
from simulacra.data.formats.archives import Tar, tar
from simulacra.data.formats.pixels import SUFFIXES, Refused

_PICTURES = (*(first := ("png", "jpg", "jpeg", "webp")), *sorted({suffix[1:] for suffix in SUFFIXES} - set(first)))


@dataclass(frozen=True)
class Sample:
    """One image of a shard as it stands there: its name, its file's bytes, and the text of its class or None."""

    name: str
    content: bytes
    label: str | None


def webdataset(module: str) -> ModuleType:
    """Return a module of the package webdataset; raises UsageError with the remedy where that is not installed."""
    try:
        return import_module(f"webdataset.{module}")
    except ImportError as error:
        remedy = "pip install 'simulacra[shards]', or pip install webdataset"
        raise UsageError(f"tar shards need the package webdataset, which is not installed: {remedy}") from error


def samples(path: Path, rows: Container[int] = range(2**62), last: int = 2**62) -> Iterator[Sample]:
    """Yield the samples of a shard that hold an image and whose number, from 0, is in `rows`; none after number `last`.

    Only the package's rule for names is used, never its decoders (one of them unpickles) nor its way of opening files (it
    starts programs): members are read by data/formats/archives.py, and only pictures, `.cls` and `.json` are looked into.
    Raises DataError for a shard that is gone, damaged or truncated.
    """
    with tar(path) as archive:
        found = (group for group in _groups(path, archive) if _picture(group))
        for number, group in enumerate(found):
            if number in rows:
                yield _sample(path, archive, group)
            if number >= last:
                return


def _groups(path: Path, archive: Tar) -> Iterator[Mapping[str, str]]:
    """Yield for each sample the name of its member by suffix, in lower case."""
    group_by_keys: Callable[[Iterable[object]], Iterator[Mapping[str, str]]] = webdataset("tariterators").group_by_keys
    members = ({"fname": entry.name, "data": entry.name, "__url__": ""} for entry in archive.walk() if not entry.refusal)
    try:
        yield from group_by_keys(members)
    except ValueError as error:
        raise DataError(f"{path} holds two files of one name ({error.args[0]}): make the shard again") from error


def _picture(group: Mapping[str, str]) -> str | None:
    return next((group[suffix] for suffix in _PICTURES if suffix in group), None)


def _sample(path: Path, archive: Tar, group: Mapping[str, str]) -> Sample:
    name = _picture(group) or ""
    try:
        content = archive.read(name)
        label = _label({suffix: archive.read(group[suffix]) for suffix in ("cls", "json") if suffix in group})
    except Refused as error:
        raise DataError(f"{path} is damaged or truncated at {name}: fetch or make the shard again") from error
    return Sample(name, content, label)


def _label(held: Mapping[str, bytes]) -> str | None:
    """Return the text of a class: that of `.cls`, or "label" in `.json`; None where neither says one."""
    if "cls" in held:
        return held["cls"].decode(errors="replace").strip() or None
    try:
        table = json.loads(held.get("json", b"{}"))
    except (ValueError, RecursionError):
        return None
    label = table.get("label") if isinstance(table, dict) else None
    return str(label) if isinstance(label, int | str) and str(label) else None

"""Folders as lists of files that are read one by one; archives are the same (archives.py)."""

import os
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from simulacra.core.errors import DataError
from simulacra.data.pixels import Refused

FILE_LIMIT = 300 * 2**20  # bytes; an image of the largest accepted size fits uncompressed


@dataclass(frozen=True)
class Entry:
    """One file of a container: its name with forward slashes, and the reason why it must not be read, if there is one."""

    name: str
    refusal: str = ""


class Container(ABC):
    """Files by name."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Return all files, in the order in which they are fast to read; raises DataError where that is impossible."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the contents of one file; raises Refused with the reason where that is impossible."""


class Folder(Container):
    """A directory; links to files and folders are followed, since they are the user's own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> list[Entry]:
        """Return all files below the directory, sorted by name."""
        return [Entry(name, refusal) for name, refusal, _ in walk(self._path)]

    def read(self, name: str) -> bytes:
        """Return the contents of one file."""
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}") from error


def walk(root: Path) -> list[tuple[str, str, os.stat_result | None]]:
    """Return (name, refusal, facts) of every file below a directory, sorted by name; each directory is visited once."""
    found: list[tuple[str, str, os.stat_result | None]] = []
    visited: set[tuple[int, int]] = set()

    def failed(error: OSError) -> None:
        if Path(error.filename) == root:
            raise DataError(f"{root} cannot be read: {error.strerror}: check its permissions") from error
        found.append((Path(error.filename).relative_to(root).as_posix(), f"folder cannot be read: {error.strerror}", None))

    for place, folders, files in os.walk(root, onerror=failed, followlinks=True):
        facts = Path(place).stat()
        if (facts.st_dev, facts.st_ino) in visited:
            folders.clear()
            continue
        visited.add((facts.st_dev, facts.st_ino))
        found.extend(_look(root, Path(place) / file) for file in files)
    return sorted(found, key=lambda row: row[0])


def _look(root: Path, path: Path) -> tuple[str, str, os.stat_result | None]:
    name = path.relative_to(root).as_posix()
    try:
        facts = path.stat()
    except OSError as error:
        return name, f"cannot be read: {error.strerror}", None
    if not stat.S_ISREG(facts.st_mode):
        return name, "device, pipe or socket", facts
    return name, too_large(facts.st_size), facts


def too_large(size: int) -> str:
    """Return why a file of `size` bytes is not read; empty if it is."""
    return f"file of more than {FILE_LIMIT // 2**20} MiB" if size > FILE_LIMIT else ""

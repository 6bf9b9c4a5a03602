"""Folders, read file by file with the same interface as archives (archives.py)."""

import os
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from simulacra.core.errors import DataError
from simulacra.data.formats.pixels import Refused

FILE_LIMIT = 300 * 2**20  # bytes, enough for an uncompressed image of the largest accepted size


@dataclass(frozen=True)
class Entry:
    """One file of a container: its name with forward slashes, and the reason why it is not read, empty if it is.

    Of a file below a directory also its size in bytes, and when it was changed, in ns.
    """

    name: str
    refusal: str = ""
    size: int = 0
    changed: int = 0


class Container(ABC):
    """Files by name."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Return all files, in the order in which reading is fastest; raises DataError if they cannot be listed."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the contents of one file; raises Refused with the reason if it cannot be read."""


class Folder(Container):
    """A directory; symbolic links are followed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> list[Entry]:
        """Return all files below the directory, sorted by name."""
        return walk(self._path)

    def read(self, name: str) -> bytes:
        """Return the contents of one file."""
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}") from error


def walk(root: Path) -> list[Entry]:
    """Return every file below a directory, sorted by name; each directory is visited once, even if several links lead to it."""
    found: list[Entry] = []
    try:
        _visit(root, "", found, set())
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}: check its permissions") from error
    return sorted(found, key=lambda file: file.name)


def _visit(folder: Path, prefix: str, found: list[Entry], visited: set[tuple[int, int]]) -> None:
    facts = folder.stat()
    if (facts.st_dev, facts.st_ino) in visited:
        return
    visited.add((facts.st_dev, facts.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            try:
                facts = entry.stat()
                if stat.S_ISDIR(facts.st_mode):
                    _visit(folder / entry.name, f"{name}/", found, visited)
                else:
                    refusal = too_large(facts.st_size) if stat.S_ISREG(facts.st_mode) else "device, pipe or socket"
                    found.append(Entry(name, refusal, facts.st_size, facts.st_mtime_ns))
            except OSError as error:
                found.append(Entry(name, f"cannot be read: {error.strerror}"))


def too_large(size: int) -> str:
    """Return the reason why a file of `size` bytes is not read; empty if it is."""
    return f"file of more than {FILE_LIMIT // 2**20} MiB" if size > FILE_LIMIT else ""

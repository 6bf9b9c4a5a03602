"""Folders, tar and zip archives, read file by file without unpacking; decompression bombs are refused."""

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from io import BytesIO
from pathlib import Path
from typing import IO, cast

from simulacra.core.errors import DataError
from simulacra.core.files import RUN_FILES
from simulacra.data.formats.kinds import HEAD
from simulacra.data.formats.refused import Refused

SUFFIXES = (".tar", ".zip", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
FILE_LIMIT = 300 * 2**20  # bytes, enough for an uncompressed image of the largest accepted size
RATIO_LIMIT = 200  # size of the contents relative to the archive; images hardly compress
RATIO_FREE = 2**30  # bytes of contents below which the ratio is not checked

# Errors of the standard library for damaged archives; zipfile raises RuntimeError for unsupported features.
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
_DAMAGED = (*_BROKEN, EOFError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Entry:
    """One file. name: with forward slashes; refusal: why it is not read, or empty; size (bytes) and changed (ns): in folders."""

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

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """Open one file to read some of it, with seeking; raises Refused with the reason if it cannot be opened."""

    def head(self, name: str) -> bytes:
        """Return the first bytes of a file, which show its kind; none if it cannot be read."""
        try:
            with self.open(name) as file:
                return file.read(HEAD)
        except (Refused, *_DAMAGED):
            return b""


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

    def open(self, name: str) -> IO[bytes]:
        """Open one file."""
        try:
            return (self._path / name).open("rb")
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}") from error


def walk(root: Path) -> list[Entry]:
    """Return every file below a directory, sorted by name, but those of runs; each directory is visited once, despite links."""
    try:
        return without_runs(sorted(_visit(root), key=lambda file: file.name))
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}: check its permissions") from error


def _visit(root: Path) -> Iterator[Entry]:
    """Yield every file below a directory. One that has several names counts by its own, else by a link, else by a hidden name."""
    visited, waiting = set[tuple[int, int]](), [(0, "", root)]
    while waiting:
        rank, prefix, folder = heappop(waiting)
        try:
            facts = folder.stat()
            if (facts.st_dev, facts.st_ino) in visited:
                continue
            visited.add((facts.st_dev, facts.st_ino))
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError as error:
            if not prefix:
                raise
            yield Entry(prefix[:-1], f"cannot be read: {error.strerror}")
            continue
        for entry in listed:
            name = prefix + entry.name
            try:
                facts = entry.stat()
            except OSError as error:
                yield Entry(name, f"cannot be read: {error.strerror}")
                continue
            if stat.S_ISDIR(facts.st_mode):
                own = 2 if entry.name.startswith(".") else 1 if entry.is_symlink() else 0
                heappush(waiting, (max(rank, own), f"{name}/", folder / entry.name))
            else:
                refusal = too_large(facts.st_size) if stat.S_ISREG(facts.st_mode) else "device, pipe or socket"
                yield Entry(name, refusal, facts.st_size, facts.st_mtime_ns)


def without_runs(entries: Sequence[Entry]) -> list[Entry]:
    """Return the files that are not in a run folder, whose images a model has generated and which changes while it is used."""
    names = {entry.name for entry in entries}
    first, *others = (f"/{name}" for name in RUN_FILES)
    runs = [name.removesuffix(first) for name in names if name.endswith(first)]
    folders = tuple(f"{run}/" for run in runs if all(run + other in names for other in others))
    return [entry for entry in entries if not entry.name.startswith(folders)] if folders else list(entries)


def is_run(path: Path) -> bool:
    """Return whether a path is that of a run folder."""
    return all((path / name).is_file() for name in RUN_FILES)


def too_large(size: int) -> str:
    """Return the reason why a file of `size` bytes is not read; empty if it is."""
    return f"file of more than {FILE_LIMIT // 2**20} MiB" if size > FILE_LIMIT else ""


@contextmanager
def opened(path: Path) -> Iterator[Container]:
    """Open a folder or archive for reading; raises DataError for anything else."""
    with ExitStack() as stack:
        with _readable(path):
            container = Folder(path) if path.is_dir() else _archive(path, stack)
        yield container


@contextmanager
def tar(path: Path) -> Iterator["Tar"]:
    """Open an uncompressed tar archive for one pass; raises DataError if it is missing or not a tar archive."""
    with ExitStack() as stack:
        with _readable(path):
            archive = _tar(path, path.open("rb"), stack)
        yield archive


def _tar(path: Path, handle: IO[bytes], stack: ExitStack) -> "Tar":
    bounded = cast("IO[bytes]", _Bounded(stack.enter_context(handle)))
    return Tar(path, bounded, stack.enter_context(tarfile.open(fileobj=bounded, mode="r:")))


def _archive(path: Path, stack: ExitStack) -> Container:
    try:
        return _tar(path, _decompressed(path), stack)
    except (tarfile.ReadError, EOFError, zlib.error, lzma.LZMAError) as error:
        if zipfile.is_zipfile(path):
            return Zip(path, stack.enter_context(zipfile.ZipFile(path)))
        advice = "give a folder, or a tar or zip archive, of images"
        raise DataError(f"{path} is neither a folder nor a readable tar or zip archive ({error}): {advice}") from error


def _decompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as handle:
        start = handle.read(6)
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open)):
        if start.startswith(magic):
            return cast("IO[bytes]", opener(path, "rb"))
    return path.open("rb")


class _Bounded:
    """A file for tarfile that limits the size of each read, since headers of an archive can be decompression bombs, too."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self.seek, self.tell, self.seekable = handle.seek, handle.tell, handle.seekable

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= FILE_LIMIT + 1024:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._handle.read(size)


class Tar(Container):
    """A tar archive, compressed or not."""

    def __init__(self, path: Path, file: IO[bytes], archive: tarfile.TarFile) -> None:
        self._path, self._file, self._archive = path, file, archive
        self._members: dict[str, tarfile.TarInfo] = {}

    def entries(self) -> list[Entry]:
        """Return all members but directories, in the order of the archive."""
        return without_runs(_last_of_each(list(self.walk())))

    def walk(self) -> Iterator[Entry]:
        """Yield all members but directories, in the order of the archive; each can be read as soon as it is yielded."""
        total, limit = 0, budget(self._path)
        with _readable(self._path):
            for member in self._archive:
                total += member.size
                if total > limit:
                    raise _bomb(self._path)
                if not member.isdir():
                    self._members[member.name] = member
                    yield Entry(member.name, _tar_refusal(member))
            self._require_end()

    def _require_end(self) -> None:
        """Raise ReadError unless the listing ended at a block of zeros: tarfile treats any damaged header as the end."""
        self._file.seek(self._archive.offset)
        if self._file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the end-of-archive marker is missing")

    def read(self, name: str) -> bytes:
        """Return the contents of one member."""
        member = self._members[name]
        try:
            handle = self._archive.extractfile(member)
            return handle.read(member.size) if handle else b""
        except _DAMAGED as error:
            raise Refused("damaged in the archive") from error

    def open(self, name: str) -> IO[bytes]:
        """Open one member."""
        try:
            return self._archive.extractfile(self._members[name]) or BytesIO()
        except _DAMAGED as error:
            raise Refused("damaged in the archive") from error


class Zip(Container):
    """A zip archive."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive

    def entries(self) -> list[Entry]:
        """Return all members but directories, in the order of the archive."""
        members = [member for member in self._archive.infolist() if not member.is_dir()]
        if sum(member.file_size for member in members) > budget(self._path):
            raise _bomb(self._path)
        return without_runs(_last_of_each([Entry(member.filename, _zip_refusal(member)) for member in members]))

    def read(self, name: str) -> bytes:
        """Return the contents of one member."""
        try:
            with self._archive.open(name) as handle:
                return handle.read(FILE_LIMIT + 1)  # with a limit, since the declared size may be false
        except _DAMAGED as error:
            raise Refused("damaged in the archive") from error

    def open(self, name: str) -> IO[bytes]:
        """Open one member."""
        try:
            return self._archive.open(name)
        except _DAMAGED as error:
            raise Refused("damaged in the archive") from error


def _tar_refusal(member: tarfile.TarInfo) -> str:
    if not member.isfile():
        return f"{'link' if member.islnk() or member.issym() else 'device or pipe'} inside an archive"
    return _unsafe(member.name) or too_large(member.size)


def _zip_refusal(member: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(member.external_attr >> 16):
        return "link inside an archive"
    if member.flag_bits & 1:
        return "encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed by an unusual method"
    return _unsafe(member.filename) or too_large(member.file_size)


def _last_of_each(entries: list[Entry]) -> list[Entry]:
    """Refuse the members that a later one of the same name replaces."""
    last = {entry.name: at for at, entry in enumerate(entries)}
    replaced = "replaced by a later file of the same name"
    return [entry if last[entry.name] == at else Entry(entry.name, replaced) for at, entry in enumerate(entries)]


def _unsafe(name: str) -> str:
    path = name.replace("\\", "/")
    outside = path.startswith("/") or ".." in path.split("/") or name[1:2] == ":"
    return "path that leads out of the archive" if outside else ""


def budget(archive: Path) -> int:
    """Return the bytes of contents that an archive may declare before it counts as a decompression bomb."""
    return max(RATIO_FREE, RATIO_LIMIT * archive.stat().st_size)


def _bomb(path: Path) -> DataError:
    seen = f"{path} would expand to more than {RATIO_LIMIT} times its size"
    return DataError(f"{seen}: a decompression bomb is refused; unpack it yourself if you trust it, and give the folder")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist any more: restore it") from error
    except _DAMAGED as error:
        raise DataError(f"{path} is damaged or truncated ({error}): download or create the archive again") from error

"""Atomic writing of files: temporary file, fsync, rename."""

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from simulacra.core.errors import SimulacraError, UsageError

RUN_FILES = ("config.toml", "provenance.json")
"""Settings and provenance, the two files that make a folder a run folder."""
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space there, or choose another folder"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "make the folder writable, or choose another one"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "the folder was moved or removed: bring it back"),
}


class Unwritable(SimulacraError):
    """A file that could not be written: a full disk, a folder that is read-only or gone."""


def require_writable(path: Path) -> Path:
    """Return a path that can be made; raises UsageError where it lies below a file, Unwritable in a folder that is read-only.

    Called before anything is computed for the path. The disk can still fail while it is written.
    """
    nearest = next((parent for parent in path.absolute().parents if os.path.lexists(parent)), None)
    if nearest is not None and not nearest.is_dir():
        raise UsageError(f"{path} cannot be written: {nearest} is not a folder. Choose another --out")
    if nearest is not None and not os.access(nearest, os.W_OK | os.X_OK):
        code = errno.EROFS if os.statvfs(nearest).f_flag & os.ST_RDONLY else errno.EACCES
        raise unwritable(path, OSError(code, os.strerror(code)))
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically; raises Unwritable where the disk is full or the folder cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically; names of files that are not UTF-8 are written as they are."""
    write_bytes(path, text.encode(errors="surrogateescape"))


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files of killed processes below a folder; no other process may be writing there."""
    for path in folder.rglob(".*.tmp"):
        with suppress(OSError):
            path.unlink()


def unwritable(path: Path, error: OSError) -> Unwritable:
    """Return the error of a file that could not be written, with the reason and what to do.

    >>> print(unwritable(Path("runs/first/config.toml"), OSError(errno.ENOSPC, "No space left on device")))
    cannot write runs/first/config.toml: No space left on device: free some space there, or choose another folder
    """
    advice = _ADVICE.get(error.errno or 0, "check the disk, or choose another folder")
    return Unwritable(f"cannot write {path}: {error.strerror or error}: {advice}")

"""Atomic writing of folders: a folder appears complete or not at all, also if several processes write it."""

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simulacra.core.errors import DataError
from simulacra.core.files import sync_folder
from simulacra.data.locations import CACHE_VARIABLE
from simulacra.data.preparation.prepared import read

_ADVICE = f"free some space, or set {CACHE_VARIABLE} to a folder you can write to"
_STALE = 24 * 3600  # seconds after which a temporary folder is taken for that of a killed process


@contextmanager
def temporary_beside(folder: Path, what: str = "prepared images", advice: str = _ADVICE) -> Iterator[Path]:
    """Provide a temporary folder beside the final one, which is removed at the end; also removes those of killed processes.

    Raises DataError if it cannot be written, with `what` it was for and `advice`.
    """
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for old in folder.parent.glob(".making-*"):
            if time.time() - old.stat().st_mtime > _STALE:
                shutil.rmtree(old, ignore_errors=True)
        temporary = _fresh(folder.parent)
        yield temporary
    except OSError as error:
        raise DataError(f"cannot write {what} to {folder.parent}: {error.strerror or error}: {advice}") from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _fresh(parent: Path) -> Path:
    folder = parent / f".making-{uuid.uuid4().hex}"
    folder.mkdir()  # with the user's usual permissions: a cache may be shared
    return folder


def publish(temporary: Path, folder: Path) -> None:
    """Rename a finished folder to its final name; replaces a damaged folder, keeps a complete one of another process."""
    try:
        temporary.rename(folder)
    except OSError:
        if read(folder):
            return
        aside = _fresh(folder.parent) / "damaged"
        with suppress(FileNotFoundError):
            folder.rename(aside)
        shutil.rmtree(aside.parent, ignore_errors=True)
        temporary.rename(folder)
    sync_folder(folder.parent)

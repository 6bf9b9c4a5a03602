"""One writer for a run: a lock that the operating system releases when its holder dies, however it dies."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from simulacra.core.errors import SimulacraError
from simulacra.core.files import unwritable


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """Hold the lock of a run folder inside; raises SimulacraError if another process is writing it."""
    with _opened(run) as file:
        if not _locked(file.fileno()):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise SimulacraError(f"{run} is being written by another process ({holder}): wait until it ends, or stop it")
        _sign(file)
        yield


@contextmanager
def in_turn(folder: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a folder inside; as long as another process holds it, `wait` is called again and again."""
    with _opened(folder) as file:
        while not _locked(file.fileno()):
            wait()
        _sign(file)
        yield


def is_written(run: Path) -> bool:
    """Return whether a process is writing a run folder now."""
    try:
        with (run / ".lock").open() as file:
            return not _locked(file.fileno())
    except OSError:
        return False


def _opened(folder: Path) -> TextIO:
    try:
        return (folder / ".lock").open("a+")
    except OSError as error:
        raise unwritable(folder, error) from error


def _sign(file: TextIO) -> None:
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()


def _locked(descriptor: int) -> bool:
    """Try to lock a file; where the system has no such lock, nobody is kept out."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

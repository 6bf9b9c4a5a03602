"""One writer for a run: a lock that the operating system releases when its holder dies, however it dies.

The writer holds the file `.lock` exclusively (flock). A query holds it for an instant as well, but shared: queries do not
exclude each other, and a writer that meets one tries again. Record locks (fcntl) can be queried without being taken, but a
process loses them when it closes *any* descriptor of the file, so that a query from the training's own process would release
its lock; /proc/locks exists only on Linux.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from simulacra.core.errors import SimulacraError
from simulacra.core.files import unwritable

LOCK = ".lock"
_PATIENCE = 0.5  # seconds during which a writer tries again: a query holds the lock for microseconds
_PAUSE = 0.005


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """Hold the lock of a run folder inside; raises SimulacraError if another process is writing it, Unwritable."""
    with _opened(run) as descriptor:
        deadline = time.monotonic() + _PATIENCE
        while not _locked(descriptor, "exclusive"):
            if time.monotonic() > deadline:
                holder = os.read(descriptor, 100).decode(errors="replace") or "unknown"
                raise SimulacraError(f"{run} is being written by another process ({holder}): wait until it ends, or stop it")
            time.sleep(_PAUSE)
        _sign(run, descriptor)
        yield


@contextmanager
def in_turn(folder: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a folder inside; as long as another process holds it, `wait` is called again and again."""
    with _opened(folder) as descriptor:
        while not _locked(descriptor, "exclusive"):
            wait()
        _sign(folder, descriptor)
        yield


def is_written(run: Path) -> bool:
    """Return whether a process is writing a run folder now. A query never excludes a writer."""
    try:
        descriptor = os.open(run / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _locked(descriptor, "shared")
    finally:
        os.close(descriptor)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sign(run: Path, descriptor: int) -> None:
    """Write the holder of the lock into its file."""
    try:
        os.ftruncate(descriptor, os.write(descriptor, f"process {os.getpid()}".encode()))
    except OSError as error:
        raise unwritable(run / LOCK, error) from error


def _locked(descriptor: int, kind: Literal["shared", "exclusive"]) -> bool:
    """Try to lock a file; where the operating or the file system has no such lock, no process is excluded."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if kind == "shared" else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True

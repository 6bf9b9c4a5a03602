"""One writer for a run: a lock that the operating system releases when its holder dies, however it dies.

The writer holds the file `.lock` exclusively (flock). Who only asks holds it for an instant too, but shared: two who ask do
not disturb each other, and a writer that meets one tries again rather than being refused. Record locks (fcntl) could be asked
about without being taken, but a process loses them when it closes *any* descriptor of the file, so asking from the training's
own process would release its lock; and /proc/locks is only on Linux.
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
_PATIENCE = 0.5  # seconds in which a writer tries again: one who asks holds the lock for microseconds
_PAUSE = 0.005


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """Hold the lock of a run folder inside; raises SimulacraError if another process is writing it, Unwritable."""
    with _opened(run) as descriptor:
        if not _locked_patiently(descriptor):
            holder = os.read(descriptor, 100).decode(errors="replace") or "unknown"
            raise SimulacraError(f"{run} is being written by another process ({holder}): wait until it ends, or stop it")
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
    """Return whether a process is writing a run folder now. Asking never keeps a writer out."""
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
    """Write into the lock who holds it."""
    try:
        os.ftruncate(descriptor, os.write(descriptor, f"process {os.getpid()}".encode()))
    except OSError as error:
        raise unwritable(run / LOCK, error) from error


def _locked_patiently(descriptor: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not _locked(descriptor, "exclusive"):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _locked(descriptor: int, kind: Literal["shared", "exclusive"]) -> bool:
    """Try to lock a file; where the system or the file system has no such lock, nobody is kept out."""
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

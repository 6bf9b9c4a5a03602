"""Experiment trackers: third-party programs that receive the reports of a training and never stop or slow it.

Every module of this folder is a tracker; its file name is its name, and that of its extra. Each runs in its own thread. An
exception in it disables it, with one warning; training waits for trackers only at its end, and only for a limited time.
"""

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import Any, Protocol

from simulacra.core.errors import UsageError, unknown
from simulacra.core.progress import Progress

_MOST_QUEUED = 1000  # calls waiting for a tracker; a training makes one every few seconds
_GRACE, _TIMEOUT = 2.0, 60.0  # seconds that the end of a training waits for all trackers: without a message, and at most


class Tracker(Protocol):
    """An experiment tracker. Methods may raise anything; all are called from one thread, `start` first."""

    package: str  # the Python package that it needs; empty if none

    def start(self, settings: Mapping[str, object], folder: Path, step: int) -> None:
        """Begin, with the settings by name, the run folder, and the step at which training begins: 0, or that of a checkpoint."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Receive finite values by name, such as `train/autoencoder/loss`."""

    def image(self, step: int, name: str, path: Path) -> None:
        """Receive a PNG file of the run folder; name: such as `samples`."""

    def finish(self) -> None:
        """End: no method is called afterwards."""


def names() -> tuple[str, ...]:
    """Return the names of all trackers, without importing them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def chosen(text: str) -> tuple[str, ...]:
    """Return the trackers that a setting names, each once; raises UsageError for an unknown name.

    >>> chosen("tensorboard, mlflow,")
    ('tensorboard', 'mlflow')
    """
    words = dict.fromkeys(word for word in text.replace(" ", "").split(",") if word)
    for word in words:
        if word not in names():
            raise unknown("tracker", word, names())
    return tuple(words)


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; a folder of that name without `__init__.py` is not a package."""
    found = find_spec(package)
    return found is not None and found.origin is not None


def require(wanted: Sequence[str]) -> None:
    """Raise UsageError unless the packages of these trackers are installed."""
    packages = {name: find(name).package for name in wanted}
    if missing := [name for name, package in packages.items() if package and not is_installed(package)]:
        what, extras = " and ".join(missing), ",".join(missing)
        raise UsageError(f'--track needs {what}, which is not installed: pip install "simulacra[{extras}]", or remove --track')


def find(name: str) -> type[Tracker]:
    """Return the tracker of this name; its package is imported by its `start`."""
    return importlib.import_module(f"{__name__}.{name}").TRACKER


Call = Callable[[Tracker], None]


class BackgroundTracker:
    """Calls a tracker in a background thread: its methods never raise and never block."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress
        self._calls: Queue[Call | None] = Queue(_MOST_QUEUED)
        self._failure = ""
        self._enabled = True
        self._thread = Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def submit(self, call: Call | None) -> None:
        """Queue a call of the tracker, or None as the last one."""
        if not self.is_enabled():
            return
        try:
            self._calls.put_nowait(call)
        except Full:
            self.disable(f"it is {_MOST_QUEUED:,} calls behind")

    def is_enabled(self) -> bool:
        """Return whether the tracker is enabled; disable it if it has failed."""
        if self._enabled and self._failure:
            self.disable(self._failure)
        return self._enabled

    def join(self, seconds: float) -> bool:
        """Wait for the tracker, at most some seconds; return whether it has finished or is disabled."""
        if self._enabled:
            self._thread.join(max(0.0, seconds))
        return not (self.is_enabled() and self._thread.is_alive())

    def disable(self, reason: str) -> None:
        """Stop using the tracker, with a warning."""
        self._enabled = False
        self._progress.message(f"warning: the tracker {self._name} is disabled; training continues: {reason}")

    def _work(self) -> None:
        try:
            tracker = find(self._name)()
            while (call := self._calls.get()) is not None:
                call(tracker)
        except BaseException as error:  # SystemExit too; an interrupt by the user never reaches this thread
            lines = str(error).strip().splitlines() or [""]
            self._failure = f"{type(error).__name__}: {lines[0]}".removesuffix(": ")


class Tracking:
    """All trackers of a training."""

    def __init__(self, active: Sequence[BackgroundTracker], progress: Progress) -> None:
        self._active, self._progress = active, progress

    def scalars(self, kind: str, record: Mapping[str, Any]) -> None:
        """Send the numbers of a record of the reports, as `kind/name`."""
        step = record["step"]
        values = {f"{kind}/{name}": value for name, value in record.items() if name != "step" and isinstance(value, int | float)}
        self.submit(lambda tracker: tracker.scalars(step, values))

    def image(self, step: int, path: Path) -> None:
        """Send a PNG file, named after its folder."""
        self.submit(lambda tracker: tracker.image(step, path.parent.name, path))

    def finish(self) -> None:
        """Finish all trackers, and wait for them together, for a limited time."""
        self.submit(lambda tracker: tracker.finish())
        self.submit(None)
        began = time.monotonic()
        late = [tracker for tracker in self._active if not tracker.join(began + _GRACE - time.monotonic())]
        if late:
            self._progress.message(f"waiting for the trackers to finish, {_TIMEOUT:.0f} s at most")
        for tracker in late:
            if not tracker.join(began + _TIMEOUT - time.monotonic()):
                tracker.disable(f"it did not finish within {_TIMEOUT:.0f} s, and its last entries may be missing")

    def submit(self, call: Call | None) -> None:
        """Queue a call of all trackers, or None as the last one."""
        for tracker in self._active:
            tracker.submit(call)


@contextmanager
def tracking(
    names: Sequence[str], settings: Mapping[str, object], folder: Path, step: int, progress: Progress
) -> Iterator[Tracking]:
    """Start trackers for a training that begins at a step, and finish them at the end of the context, also after an error."""
    active = Tracking([BackgroundTracker(name, progress) for name in names], progress)
    active.submit(lambda tracker: tracker.start(settings, folder, step))
    try:
        yield active
    finally:
        active.finish()

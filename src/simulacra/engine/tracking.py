"""Trackers: programs of others that receive what the reports receive, and that can never harm a training.

Each works in a thread of its own. Whatever it raises switches it off, with one sentence; however slow it is, training does not
wait for it, except at the end, and there not for long.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import Any, Protocol

from simulacra.core.progress import Progress
from simulacra.engine import trackers

_BEHIND = 1000  # calls that may wait for a tracker; a training makes one every some seconds
_QUIET, _PATIENCE = 2.0, 60.0  # seconds that the end of a training waits for all trackers: without a word, and at most


class Tracker(Protocol):
    """A place that training is written to. Methods may raise anything; all are called from one thread, `start` first."""

    package: str  # that must be installed; empty where nothing must

    def start(self, settings: Mapping[str, object], folder: Path, step: int) -> None:
        """Begin, with the settings by name, the run folder, and the step from which training goes on: 0 at the beginning."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Receive finite values by name, such as `train/autoencoder/loss`."""

    def picture(self, step: int, name: str, path: Path) -> None:
        """Receive a PNG file of the run folder, such as `samples`."""

    def finish(self) -> None:
        """End: nothing more is called."""


Call = Callable[[Tracker], None]


class Guarded:
    """A tracker behind a wall: calls never raise and never wait."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress
        self._calls: Queue[Call | None] = Queue(_BEHIND)
        self._failure = ""
        self._is_on = True
        self._thread = Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, call: Call | None) -> None:
        """Hand a call to the tracker, or None as the last."""
        self.notice()
        if self._is_on:
            try:
                self._calls.put_nowait(call)
            except Full:
                self._switch_off(f"it is {_BEHIND:,} calls behind")

    def notice(self) -> None:
        """Say what the tracker has failed with, once."""
        if self._is_on and self._failure:
            self._switch_off(self._failure)

    def wait(self, seconds: float) -> bool:
        """Return whether all is done within some seconds, or given up."""
        if self._is_on:
            self._thread.join(max(0.0, seconds))
            self.notice()
        return not (self._is_on and self._thread.is_alive())

    def leave(self) -> None:
        """Give up a tracker that does not end."""
        self._switch_off(f"it did not end within {_PATIENCE:.0f} s, and its last entries may be missing")

    def _work(self) -> None:
        try:
            tracker = trackers.find(self._name)()
            while (call := self._calls.get()) is not None:
                call(tracker)
        except BaseException as error:  # SystemExit too; an interrupt by the user never reaches this thread
            said = str(error).strip().splitlines() or [""]
            self._failure = f"{type(error).__name__}: {said[0]}".removesuffix(": ")

    def _switch_off(self, why: str) -> None:
        self._is_on = False
        self._progress.message(f"warning: the tracker {self._name} is switched off, the training is not harmed: {why}")


class Tracking:
    """All trackers of a training."""

    def __init__(self, guarded: Sequence[Guarded], progress: Progress) -> None:
        self._guarded, self._progress = guarded, progress

    def scalars(self, kind: str, record: Mapping[str, Any]) -> None:
        """Hand on the numbers of a record of the reports, as `kind/name`."""
        step = record["step"]
        values = {f"{kind}/{name}": value for name, value in record.items() if name != "step" and isinstance(value, int | float)}
        self._tell(lambda tracker: tracker.scalars(step, values))

    def picture(self, step: int, path: Path) -> None:
        """Hand on a picture, named after the folder it lies in."""
        self._tell(lambda tracker: tracker.picture(step, path.parent.name, path))

    def start(self, settings: Mapping[str, object], folder: Path, step: int) -> None:
        """Start all."""
        self._tell(lambda tracker: tracker.start(settings, folder, step))

    def finish(self) -> None:
        """End all, and wait for them together, but not for long."""
        self._tell(lambda tracker: tracker.finish())
        self._tell(None)
        began = time.monotonic()
        late = [guarded for guarded in self._guarded if not guarded.wait(began + _QUIET - time.monotonic())]
        if late:
            self._progress.message(f"waiting for the trackers to end, {_PATIENCE:.0f} s at most")
        for guarded in late:
            if not guarded.wait(began + _PATIENCE - time.monotonic()):
                guarded.leave()

    def _tell(self, call: Call | None) -> None:
        for guarded in self._guarded:
            guarded.tell(call)


@contextmanager
def tracking(
    names: Sequence[str], settings: Mapping[str, object], folder: Path, step: int, progress: Progress
) -> Iterator[Tracking]:
    """Start trackers for a training that begins at a step, and end them with the context, however it ends."""
    followers = Tracking([Guarded(name, progress) for name in names], progress)
    followers.start(settings, folder, step)
    try:
        yield followers
    finally:
        followers.finish()

"""How many images a snapshot takes: all where the duration is a number of steps, otherwise so many that they fit its time.

Snapshots take at most a tenth of a duration in time, by their measured cost; before the first one it is estimated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_SHARE = 0.1  # of the time, for snapshots and checkpoints
_ENOUGH = 4  # snapshots that are to fit, with at least
_ROW = 8  # images; pictures of fewer are taken only if not even one snapshot of a row fits
_VALIDATED, _COMPARED = 8, 32  # images, at least: validated, and compared (or none)


@dataclass(frozen=True)
class SnapshotSize:
    """Numbers of images: in an overview, validated, and generated to compare their diversity with that of real ones."""

    pictures: int
    validation: int
    compared: int

    def evaluations(self, sampling: int) -> int:
        """Return the approximate number of network evaluations of single images; sampling: those of a generated image."""
        return self.pictures * (sampling + 1) + self.validation + self.compared * sampling

    def smaller(self) -> Iterator["SnapshotSize"]:
        """Yield this size, and sizes with half as many images each, down to one without pictures."""
        yield self
        pictures, validation, compared = self.pictures, self.validation, self.compared
        while pictures:
            pictures, validation, compared = pictures // 2, max(validation // 2, min(validation, _VALIDATED)), compared // 2
            yield SnapshotSize(pictures, validation, compared if compared >= _COMPARED else 0)


class SnapshotBudget:
    """Decides which snapshots of a training for a time are taken, and of what size.

    full: the size without a limit of time; sampling: network evaluations of a generated image; count: the number of snapshots
    that is asked for; amount: seconds of the training; evaluation: seconds of a network evaluation of one image.
    """

    def __init__(self, full: SnapshotSize, sampling: int, count: int, amount: float, evaluation: float) -> None:
        self._full, self._sampling, self._count = full, sampling, count
        self._evaluation, self._allowed = evaluation, _SHARE * amount
        self.size = self._first_size()

    @property
    def is_reduced(self) -> bool:
        """Whether snapshots are smaller than without a limit of time."""
        return self.size != self._full

    @property
    def seconds(self) -> float:
        """Expected seconds of a snapshot; 0 if there is none."""
        return self._cost(self.size) if self.size else 0.0

    def number(self, spent: float) -> int:
        """Return how many more snapshots fit, after snapshots and checkpoints of `spent` seconds."""
        return min(self._count, int((self._allowed - spent) / self.seconds)) if self.seconds else 0

    def next(self, spent: float, done: float) -> SnapshotSize | None:
        """Return the size of a snapshot that is due, None to leave it out. done: the fraction of the training, in [0, 1].

        The allowed time becomes available evenly, so that fewer snapshots are evenly spaced; that of the last one is kept for it.
        """
        if self.size is None:
            return None
        if done >= 1:
            self.size = next((size for size in self.size.smaller() if spent + self._cost(size) <= self._allowed), None)
            return self.size
        available = self._allowed / self._enough if done == 0 else (self._allowed - self.seconds) * done
        return self.size if spent + self.seconds <= available else None

    def measure(self, seconds: float) -> None:
        """Take the cost of evaluations from a snapshot of the present size."""
        if self.size and (evaluations := self.size.evaluations(self._sampling)):
            self._evaluation = seconds / evaluations

    @property
    def _enough(self) -> int:
        return min(_ENOUGH, self._count + 1)

    def _cost(self, size: SnapshotSize) -> float:
        return self._evaluation * size.evaluations(self._sampling)

    def _first_size(self) -> SnapshotSize | None:
        """Return the largest size of at least a row that fits often enough, or the largest of at most a row that fits once."""
        row = min(_ROW, self._full.pictures)
        sizes = list(self._full.smaller())
        often = [size for size in sizes if size.pictures >= row and self._enough * self._cost(size) <= self._allowed]
        once = [size for size in sizes if size.pictures <= row and self._cost(size) <= self._allowed]
        return next(iter([*often, *once]), None)

"""The time of a training: of its steps, of its snapshots and checkpoints, and of what is left to do at its end."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_RECENT = 20  # steps over which the time of a step is measured
_LONGEST_ENDING = 0.2  # of the duration
_FIRST = 0.01  # fraction of the training that is done in the first step, before the time of a step is known


class TrainingTime:
    """Seconds of a training, over all its resumes.

    seconds: in all; observed: those of snapshots and checkpoints among them; ending: expected for the last snapshot and
    checkpoint, which a duration in time includes. clock: returns seconds; tests replace it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds = self.observed = self.ending = 0.0
        self._read = 0.0  # the clock when `seconds` were counted
        self._step = 0.0  # seconds of a step, before the resume
        self._recent: deque[tuple[int, float]] = deque(maxlen=_RECENT)  # steps, and the seconds spent in steps up to them

    def start(self) -> None:
        """Begin to count."""
        self._read = self.clock()

    def now(self) -> float:
        """Return the seconds in all, up to now."""
        before, self._read = self._read, self.clock()
        return self.seconds + self._read - before

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Count the time inside as that of snapshots and checkpoints."""
        began = self.clock()
        yield
        self.observed += self.clock() - began

    def count_step(self, step: int) -> None:
        """Measure the time of a step: `step` is its number, and `seconds` are up to date."""
        self._recent.append((step, self.seconds - self.observed))

    @property
    def step(self) -> float:
        """Mean seconds of the last steps, the first one left out if there are others; 0 before the first step."""
        if len(self._recent) < 2:
            return self._recent[-1][1] if self._recent and not self._step else self._step
        (first, began), (last, ended) = self._recent[0], self._recent[-1]
        return (ended - began) / (last - first)

    def limit(self, amount: float) -> float:
        """Return the second at which the steps end, of a training for `amount` seconds."""
        return amount - min(self.ending, _LONGEST_ENDING * amount)

    def done(self, amount: float) -> float:
        """Return the fraction of the steps that is done, in [0, 1]: 1 if no further step ends nearer to the limit."""
        limit = self.limit(amount)
        return 1.0 if self.seconds + self.step / 2 >= limit else self.seconds / limit

    def done_in_next_step(self, amount: float) -> float:
        """Return the fraction that is done in the middle of the next step."""
        return min(1.0, (self.seconds + self.step / 2) / self.limit(amount)) if self.step else _FIRST

    def facts(self) -> dict[str, float]:
        """Return what a resumed training needs besides `seconds`."""
        return {"observed": self.observed, "step": self.step, "ending": self.ending}

    def restore(self, seconds: float, facts: Mapping[str, float]) -> None:
        """Continue from the facts of a checkpoint; those of an earlier version have none but the seconds."""
        self.seconds = seconds
        self.observed, self._step, self.ending = (facts.get(name, 0.0) for name in ("observed", "step", "ending"))
        self._recent.clear()

"""How every measured process measures itself, ours and the peers' alike. Needs numpy only: each peer has its own environment."""

import time
from pathlib import Path

import numpy as np

WARM = 20  # steps before the clock starts: graphs are traced, kernels are chosen and memory is grown in them


class Finished(Exception):
    """Raised inside a peer's own loop to leave it."""


class Stopwatch:
    """Times at least `steps` steps of `batch` images after the warm-up. To be made after all imports and before anything else."""

    def __init__(self, batch: int, steps: int, warm: int = WARM) -> None:
        self.batch, self.steps, self.warm = batch, steps, warm
        self.done, self.timed = 0, 0  # steps in all, and since the clock started
        self.clock: Clock | None = None
        self.times: dict[str, float] = {}
        self.start_mib = memory_mib("VmRSS")

    @property
    def finished(self) -> bool:
        return self.timed >= self.steps

    def tick(self, steps: int = 1) -> None:
        """Note that a step, or several in one call, are done."""
        self.done += steps
        if self.clock:
            self.timed += steps
            self.times = self.clock.rates(self.timed * self.batch)
        elif self.done >= self.warm:
            self.clock = Clock()

    def result(self) -> dict[str, float]:
        """Return the speed, the peak memory of the process, and how much of it came after the imports."""
        return {**self.times, **memory_since(self.start_mib)}


class Clock:
    """Measures elapsed seconds, and those of the processor that all threads of this process took, from now on."""

    def __init__(self) -> None:
        self.began, self.began_cpu = time.perf_counter(), time.process_time()

    def rates(self, images: float) -> dict[str, float]:
        """Return a number of images in relation to both."""
        elapsed, processor = time.perf_counter() - self.began, time.process_time() - self.began_cpu
        return {"images_per_second": images / elapsed, "images_per_cpu_second": images / processor}


def memory_since(start_mib: float) -> dict[str, float]:
    """Return the peak memory of the process, and how much of it is above an earlier one."""
    peak = memory_mib("VmHWM")
    return {"peak_mib": peak, "above_start_mib": peak - start_mib}


def memory_mib(name: str) -> float:
    """Return this process's resident memory: now (VmRSS), or at its highest (VmHWM).

    Not from getrusage(): its peak includes that of the process which started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def random_images(count: int, side: int = 28, channels: int = 1) -> np.ndarray:
    """Return random bytes [count side side channels]."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)

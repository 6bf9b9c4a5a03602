"""How every measured process measures itself, ours and the peers' alike. Needs numpy only: each peer has its own environment."""

import time
from pathlib import Path

import numpy as np

WARM = 20  # steps before the clock starts: graphs are traced, kernels are chosen and memory is grown in them


class Finished(Exception):
    """Raised inside a peer's own loop to leave it."""


class Stopwatch:
    """Times `steps` steps of `batch` images after the warm-up. To be made after all imports and before anything else."""

    def __init__(self, batch: int, steps: int, warm: int = WARM) -> None:
        self.batch, self.steps, self.warm = batch, steps, warm
        self.done, self.began, self.seconds = 0, 0.0, 0.0
        self.start_mib = memory_mib("VmRSS")

    @property
    def finished(self) -> bool:
        return self.done >= self.warm + self.steps

    def tick(self) -> None:
        """Note that a step is done."""
        self.done += 1
        if self.done == self.warm:
            self.began = time.perf_counter()
        if self.done == self.warm + self.steps:
            self.seconds = time.perf_counter() - self.began

    def result(self) -> dict[str, float]:
        """Return the speed, the peak memory of the process, and how much of it came after the imports."""
        peak = memory_mib("VmHWM")
        speed = self.steps * self.batch / self.seconds
        return {"images_per_second": speed, "peak_mib": peak, "above_start_mib": peak - self.start_mib}


def memory_mib(name: str) -> float:
    """Return this process's resident memory: now (VmRSS), or at its highest (VmHWM).

    Not from getrusage(): its peak includes that of the process which started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def random_images(count: int, side: int = 28, channels: int = 1) -> np.ndarray:
    """Return random bytes [count side side channels]."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)

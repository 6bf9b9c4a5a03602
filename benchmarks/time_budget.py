"""Whether trainings for a time end in time, and how much of it is training: several families, sizes and batches.

    python benchmarks/time_budget.py [--seconds 30] [--clock wall|cpu] [--threads 1] [--only diffusion]

Random images of one array each; the time counts from the start of the training to its end, with the last pictures, the last
checkpoint and the animation. `--clock cpu` counts the processor time of the process in place of the time on the wall, for
machines that others use too: with one thread both are about the same on a quiet machine.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simulacra.core.progress import Silent
from simulacra.data.dataset import Dataset
from simulacra.data.load import from_array
from simulacra.engine import loop
from simulacra.engine.training_time import TrainingTime
from simulacra.interfaces.api import unpaired
from simulacra.runs.settings import resolve
from simulacra.training.train import train

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
IMAGES = 300
COLUMNS = "family, batch, images | asked, s | ended after, s | share of steps | steps planned / made | snapshots"


@dataclass(frozen=True)
class Case:
    """One training: family, size of its images, batch and other settings."""

    family: str
    height: int
    channels: int
    batch: int
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"`{self.family}`, {self.batch}, {self.height}x{self.height}x{self.channels}"


CASES = (
    Case("diffusion", 128, 1, 8),
    Case("diffusion", 64, 3, 16, {"conditional": True}),
    Case("flow", 32, 3, 32),
    Case("vae", 64, 3, 32, {"likelihood": "gaussian"}),
    Case("vae", 28, 1, 128, {"network": "dense"}),
    Case("autoencoder", 64, 3, 32),
    Case("dcgan", 32, 3, 64, {"preset": "32"}),
    Case("wgan_gp", 28, 1, 64),
    Case("cyclegan", 64, 3, 1),
)


class Planned(Silent):
    """Keeps the number of steps of the plan."""

    steps = 0

    def message(self, message: str) -> None:
        """Read the plan."""
        if found := re.match(r"plan: about ([\d,]+) step", message):
            self.steps = int(found[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--only", default="", help="families, separated by commas")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    clock = CLOCKS[parsed.clock]
    loop.TrainingTime = partial(TrainingTime, clock)  # type: ignore[misc,assignment]
    print(f"| {COLUMNS} |\n|{'---|' * (COLUMNS.count('|') + 1)}")
    for case in CASES:
        if not parsed.only or case.family in parsed.only.split(","):
            print(row(case, parsed.seconds, clock), flush=True)


def row(case: Case, seconds: int, clock: Callable[[], float]) -> str:
    """Train, and return what was asked for and what came out."""
    settings = {"batch": case.batch, "duration": f"{seconds}s", "device": "cpu", **case.settings}
    config, data, planned = resolve({"family": case.family}, settings), images(case), Planned()
    with tempfile.TemporaryDirectory() as folder:
        began = clock()
        outcome = train(config, Path(folder) / "run", data, planned)
        ended = clock() - began
        checkpoint = loop_time(outcome.run)
        pictures = pictures_of(outcome.run)
    share = (outcome.seconds - checkpoint) / ended
    return f"| {case} | {seconds} | {ended:.1f} | {share:.0%} | {planned.steps:,} / {outcome.step:,} | {pictures} |"


def loop_time(run: Any) -> float:
    """Return the seconds of snapshots and checkpoints up to the last checkpoint."""
    family = run.untrained_family()
    stored, _ = run.read_checkpoint(family)
    return float(stored.facts["time"]["observed"])


def pictures_of(run: Any) -> str:
    """Return the number of snapshots, and of validations without pictures."""
    validations = [record for record in run.reports.read() if record["kind"] == "validation"]
    folders = [folder for folder in run.snapshot_folders if any(folder.rglob("*.png"))]
    saved = {path.name for folder in folders for path in folder.rglob("*.png")}
    return f"{len(validations)}, with pictures {len(saved)}"


def images(case: Case) -> Dataset:
    """Return random images with two classes, or two sets of them for families that translate."""
    if case.family == "cyclegan":
        return unpaired(a=array(case, 0), b=array(case, 1))
    return array(case, 0)


def array(case: Case, seed: int) -> Dataset:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (IMAGES, case.height, case.height, case.channels), dtype=np.uint8)
    return from_array(pixels, labels=np.arange(IMAGES) % 2, name="random")


if __name__ == "__main__":
    main()

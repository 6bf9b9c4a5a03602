"""Training speed of the real engine against the usual loop, and its overhead over a bare loop with the same arithmetic.

    python benchmarks/training.py [--family vae] [--batch 128] [--rounds 5] [--steps 150]

Every measurement is a process of its own; the variants take turns (A B C A B C), so that a noisy machine harms all alike.
Data are random bytes, 28x28x1: speed only. Reported are medians, and the ratio to the usual loop with its range over rounds.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from simulacra import families
from simulacra.core.batch import Batch
from simulacra.core.family import Family
from simulacra.core.progress import SILENT
from simulacra.data.batches import Batches
from simulacra.data.load import from_array
from simulacra.engine import hardware, optimizers
from simulacra.engine.average import Average
from simulacra.engine.settings import TrainConfig
from simulacra.engine.trainer import Trainer
from simulacra.networks import same
from simulacra.runs.run import Run
from simulacra.runs.settings import resolve
from simulacra.tasks.observe import RunObserver

WARM = 20
DATA = from_array(np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), dtype=np.uint8), name="random")
VARIANTS = ("usual loop", "bare loop, float32", "bare loop", "engine")


class Images(torch.utils.data.Dataset):
    """A data set as it is usually written: one image at a time becomes a float tensor."""

    def __len__(self):
        return len(DATA.train)

    def __getitem__(self, index):
        return torch.from_numpy(np.asarray(DATA.train.images[index], np.float32).transpose(2, 0, 1) / 255)


def usual(family: Family, batch: int, steps: int) -> float:
    """DataLoader, per-image conversion, stock layers, eager float32, Adam; the loss is read at every step."""
    same.conv_transpose2d = stock_transposed
    loader = torch.utils.data.DataLoader(Images(), batch, shuffle=True, drop_last=True)
    optimizer = torch.optim.Adam(family.parameters(), 1e-3)

    def step(images):
        (loss,) = family.turns()[0].losses(Batch(images)).values()
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        return loss.total.item()

    def forever():
        while True:
            yield from loader

    return timed(step, forever(), batch, steps)


def stock_transposed(features, weight, bias, stride, crop):
    (top, height), (left, width) = crop
    return F.conv_transpose2d(features, weight, bias, stride)[..., top : top + height, left : left + width]


def bare(family: Family, batch: int, steps: int, precision=torch.bfloat16) -> float:
    """The recipe of the engine without the engine: bytes gathered at once, fast layout, autocast, fused Adam, averaging."""
    hardware.keep_memory()
    hardware.channels_last(family)
    settings = TrainConfig(batch=batch)
    (player,) = family.players().values()
    optimizer, average = optimizers.build(player, settings), Average(family, settings.ema)
    feed = Batches(DATA.train, batch, 0)
    (turn,) = family.turns()

    def step(number):
        with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
            (loss,) = turn.losses(feed.batch(number)).values()
        loss.total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update()

    return timed(step, iter(range(10**9)), batch, steps)


def engine(family: Family, batch: int, steps: int, name: str) -> float:
    """The trainer with its reports, averaging and checkpoints, as `simulacra train` runs it."""
    hardware.keep_memory()
    config = resolve({"family": name}, {"batch": batch, "duration": str(WARM + steps), "snapshots": 1})
    trainer = Trainer(family, Batches(DATA.train, batch, 0), config.train)
    with tempfile.TemporaryDirectory() as folder, SILENT.work("", None, "") as meter:
        run = Run.create(Path(folder) / "run", config, {})
        observer = Clocked(RunObserver(run, DATA, SILENT, meter), trainer)
        trainer.run(observer)
    return steps * batch / observer.seconds


class Clocked:
    """An observer that times the steps after the warm-up, snapshots apart."""

    def __init__(self, observer, trainer):
        self.observer, self.trainer, self.seconds, self.began = observer, trainer, 0.0, 0.0

    def stepped(self, trainer):
        self.observer.stepped(trainer)
        if trainer.step == WARM:
            self.began = time.perf_counter()
        if trainer.step == trainer.total:
            self.seconds = time.perf_counter() - self.began

    def reported(self, trainer, record):
        self.observer.reported(trainer, record)

    def due(self, trainer):
        pass

    def checkpoint(self, trainer, state):
        self.observer.checkpoint(trainer, state)


def timed(step: Callable, feed, batch: int, steps: int) -> float:
    for _ in range(WARM):
        step(next(feed))
    began = time.perf_counter()
    for _ in range(steps):
        step(next(feed))
    return steps * batch / (time.perf_counter() - began)


def measure(variant: str, name: str, batch: int, steps: int) -> dict[str, float]:
    """Measure one variant in this process: images per second and peak memory in MiB."""
    family_class = families.find(name)
    torch.manual_seed(0)
    family: nn.Module = family_class(family_class.Config(), DATA.spec)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = {
        "usual loop": lambda: usual(family, batch, steps),
        "bare loop, float32": lambda: bare(family, batch, steps, torch.float32),
        "bare loop": lambda: bare(family, batch, steps),
        "engine": lambda: engine(family, batch, steps, name),
    }[variant]()
    return {"images_per_second": speed, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="vae")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.variant:
        print(json.dumps(measure(parsed.variant, parsed.family, parsed.batch, parsed.steps)))
        return
    rounds: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for number in range(parsed.rounds):
        for variant in VARIANTS:
            command = [sys.executable, __file__, "--variant", variant, "--family", parsed.family]
            command += ["--batch", str(parsed.batch), "--steps", str(parsed.steps)]
            rounds[variant].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(f"round {number + 1}: {variant}: {rounds[variant][-1]['images_per_second']:,.0f} images/s", file=sys.stderr)
    report(rounds, parsed)


def report(rounds: dict[str, list[dict[str, float]]], parsed: argparse.Namespace) -> None:
    print(f"{parsed.family}, batch {parsed.batch}, {parsed.rounds} rounds; {hardware.describe()}; torch {torch.__version__}\n")
    print("| variant | images/s (median) | against the usual loop (range) | peak memory above start, MiB |\n|---|---|---|---|")
    base = [row["images_per_second"] for row in rounds["usual loop"]]
    for variant, rows in rounds.items():
        speeds = [row["images_per_second"] for row in rows]
        ratios = sorted(speed / usual_speed for speed, usual_speed in zip(speeds, base, strict=True))
        span = f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        print(
            f"| {variant} | {statistics.median(speeds):,.0f} | {span} | {statistics.median(r['peak_mib'] for r in rows):,.0f} |"
        )
    pairs = zip(rounds["engine"], rounds["bare loop"], strict=True)
    overhead = statistics.median(1 - mine["images_per_second"] / other["images_per_second"] for mine, other in pairs)
    print(f"\nengine overhead over the bare loop: {100 * overhead:.1f} % (median of rounds)")


if __name__ == "__main__":
    main()

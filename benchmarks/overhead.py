"""The engine's overhead over a bare loop with the same arithmetic: short blocks of either, in turns, within one process.

    python benchmarks/overhead.py [--family vae] [--batch 128] [--rounds 40] [--steps 20] [--threads 0]

Blocks of half a second that take turns see the same neighbours, which processes that take turns do not: on a shared machine a
few per cent drown in the second way. Both sides move the same weights. The engine reports every 50 steps and keeps an average, as
ever; a checkpoint (one every two minutes, by default) is timed apart; pictures are left out.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import torch
import variants

from simulacra.data.dataset import Dataset
from simulacra.data.load import from_array
from simulacra.engine import checkpoint, hardware
from simulacra.engine.loop import Trainer

EVERY = 120  # seconds between checkpoints, by default


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="vae")
    for name, value in (("batch", 128), ("rounds", 40), ("steps", 20), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads or torch.get_num_threads())
    hardware.keep_memory()
    data = from_array(variants.random_images(20_000), name="random")
    trainer = in_training(parsed.family, data, parsed.batch)
    sides = {"bare loop": bare(trainer), "engine": engine(trainer)}
    blocks: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(parsed.rounds + 1):
        for name, step in sides.items():
            began = time.perf_counter()
            for _ in range(parsed.steps):
                step()
            blocks[name].append((time.perf_counter() - began) / parsed.steps)
    ratios = sorted(mine / other for mine, other in zip(blocks["engine"][1:], blocks["bare loop"][1:], strict=True))
    low, high = ratios[len(ratios) // 4], ratios[-len(ratios) // 4]
    print(f"{parsed.family}, batch {parsed.batch}, {parsed.rounds} rounds of {parsed.steps} steps; {hardware.describe()}")
    for name, times in blocks.items():
        print(f"{name}: {1e3 * statistics.median(times[1:]):.2f} ms a step")
    middle, low, high = (100 * (ratio - 1) for ratio in (statistics.median(ratios), low, high))
    print(f"overhead: {middle:.1f} % (half of the rounds: {low:.1f} to {high:.1f} %)")
    seconds = checkpointing(trainer)
    print(f"a checkpoint: {1e3 * seconds:.0f} ms, {100 * seconds / EVERY:.2f} % of the time")


def in_training(name: str, data: Dataset, batch: int) -> Trainer:
    torch.manual_seed(0)
    case = variants.Case(name)
    settings = case.config(batch=batch, duration="1000000", device="cpu").train
    family = case.family(data)
    return Trainer(family, case.batch_source(family, data, batch), settings)


def bare(trainer: Trainer) -> Callable[[], None]:
    """Return a step with everything that makes the engine fast and nothing that makes it an engine.

    It moves the trainer's own weights: another copy of them lies elsewhere in memory, which alone makes 5 % of difference.
    """
    ema, precision = trainer.ema, trainer.precision
    numbers = iter(range(10**9))

    def step() -> None:
        for turn in variants.moves(trainer.family):
            with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
                losses = turn.losses(trainer.batch_source.batch(next(numbers)))
            for left, (player, loss) in zip(reversed(range(len(losses))), losses.items(), strict=True):
                torch.autograd.backward(loss.total, inputs=trainer.parameters[player], retain_graph=left > 0)
            for player in losses:
                trainer.optimizers[player].step()
                trainer.optimizers[player].zero_grad()
        if ema is not None:
            ema.update()

    return step


def engine(trainer: Trainer) -> Callable[[], None]:
    def step() -> None:
        trainer.play()
        if trainer.step % trainer.settings.log_every == 0:
            trainer.report()

    return step


def checkpointing(trainer: Trainer) -> float:
    """Return the seconds that a checkpoint takes, the median of five."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for step in range(5):
            began = time.perf_counter()
            checkpoint.write(Path(folder), step, trainer.state(), keep=2)
            times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()

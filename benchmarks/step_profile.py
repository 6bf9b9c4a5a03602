"""Where the time of a training step goes: every operation against the least time that its arithmetic and its memory take.

    python benchmarks/step_profile.py FAMILY [--preset NAME] [--batch 0] [--side 28] [--channels 1] [--precision NAME]
                                             [--threads 1] [--steps 10] [--rows 30]

Plays steps of the engine on random images, with the family's batch size unless --batch is given. Columns: the operation, and the
node of the backward pass that calls it (none in the forward pass and in updates); calls and milliseconds of a step; share of the
step; FLOPs as share of the peak of products (the faster of a matrix product and a 3x3 convolution, measured here); bytes read and
written as share of the rate of a copy of that size (measured here); the least milliseconds by these two; how often that is in the
time. What is far above 1 is neither arithmetic nor necessary memory traffic.

The profiler takes a microsecond for each operation, so that steps of many small ones are measured slower than they are. The last
lines split the step: products, other operations that move memory, and overhead (Python, views, the graph of the backward pass,
and batches, which NumPy gathers), with the least times.

The file is not called profile.py: scripts of this folder would import it in the place of Python's module of that name.
"""

import argparse
import os

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import torch
import variants
from operations import Key, Operation, Peaks, operations

from simulacra.data.load import from_array
from simulacra.engine import hardware
from simulacra.engine.loop import Trainer

WARM = 5  # steps before the first that is measured
LINE = "{:<32} {:<30} {:>6} {:>8} {:>6} {:>7} {:>7} {:>8} {:>8}"
HEAD = ("operation", "called by", "calls", "ms", "share", "FLOPs", "bytes", "least ms", "times it")
KINDS = {"product": "products", "memory": "memory-bound operations"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family")
    for name in ("preset", "precision"):
        parser.add_argument(f"--{name}", default="")
    for name, value in (("batch", 0), ("side", 28), ("channels", 1), ("threads", 1), ("steps", 10), ("rows", 30)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    hardware.keep_memory()
    case = variants.Case(parsed.family, parsed.preset, side=parsed.side, channels=parsed.channels, precision=parsed.precision)
    trainer = in_training(case, parsed.batch)
    peaks = Peaks()
    for _ in range(WARM):
        trainer.play()
    found, seconds = operations(trainer.play, parsed.steps, peaks)
    name = " ".join((parsed.family, parsed.preset)).strip()
    size = f"{parsed.side}x{parsed.side}x{parsed.channels}"
    print(f"{name}, {size}, batch {trainer.settings.batch}, {trainer.precision}")
    print(", ".join(f"{key} {value}" for key, value in hardware.describe().items()), end="; ")
    print(", ".join(f"{kind} products {rate / 1e9:.0f} GFLOP/s" for kind, rate in peaks.products.items()))
    print(f"copies, GB/s: {', '.join(f'{size / 2**20:.3g} MiB {rate / 1e9:.0f}' for size, rate in peaks.copies.items())}")
    print(f"{1e3 * seconds:.2f} ms a step without the profiler\n")
    print("\n".join(table(found, seconds, peaks, parsed.rows)), end="\n\n")
    print("\n".join(summary(found, seconds)))


def in_training(case: variants.Case, batch: int) -> Trainer:
    torch.manual_seed(0)
    settings = case.config(**{"batch": batch} if batch else {}, duration="1000000", device="cpu").train
    data = from_array(case.images(max(8 * settings.batch, 64)), validation=0.0, name="random")
    family = case.family(data)
    return Trainer(family, case.batch_source(family, data, settings.batch), settings)


def table(found: dict[Key, Operation], seconds: float, peaks: Peaks, rows: int) -> list[str]:
    """Return one line for each of the slowest operations."""
    ordered = sorted(found.items(), key=lambda item: -item[1].seconds)
    lines = [LINE.format(*HEAD)]
    for key, operation in ordered[:rows]:
        lines.append(LINE.format(key.name[:32], key.node[:30], *cells(operation, seconds, peaks)))
    return lines


def cells(operation: Operation, seconds: float, peaks: Peaks) -> list[str]:
    """Return calls, milliseconds, share, shares of both peaks, least milliseconds, and how often these are in the time."""
    took = max(operation.seconds, 1e-9)
    each = operation.moved / operation.calls
    flops = operation.flops / took / max(peaks.products.values()) if operation.flops else 0.0
    moved = operation.moved / took / peaks.copy(each) if operation.moved else 0.0
    return [
        f"{operation.calls:.0f}",
        f"{1e3 * operation.seconds:.3f}",
        f"{100 * operation.seconds / seconds:.1f} %",
        f"{100 * flops:.0f} %" if flops else "-",
        f"{100 * moved:.0f} %" if moved else "-",
        f"{1e3 * operation.limit:.3f}" if operation.limit else "-",
        f"{operation.seconds / operation.limit:.1f}" if operation.limit else "-",
    ]


def summary(found: dict[Key, Operation], seconds: float) -> list[str]:
    """Return how the step is split, and how much of it the limits explain."""
    lines, spent, least = [], 0.0, 0.0
    for kind, title in KINDS.items():
        measured = sum(operation.seconds for operation in found.values() if operation.kind == kind)
        limit = sum(operation.limit for operation in found.values() if operation.kind == kind)
        lines.append(f"{part(title, measured, seconds)}; at the least {part('', limit, seconds)}")
        spent, least = spent + measured, least + limit
    lines.append(part("overhead", max(0.0, seconds - spent), seconds))
    return [*lines, f"{part('step', seconds, seconds)}; at the least {part('', least, seconds)}"]


def part(title: str, seconds: float, whole: float) -> str:
    """Return a time of a step and its share of it."""
    name = f"{title + ':':<26}" if title else ""
    return f"{name}{1e3 * seconds:>8.2f} ms {100 * seconds / whole:>5.1f} %"


if __name__ == "__main__":
    main()

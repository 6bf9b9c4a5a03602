"""Dropout from bytes against the stock function, forward and backward, in turns.

    python benchmarks/dropout.py [--threads 0] [--rounds 30]

Activations of a convolutional discriminator, [128 64 14 14] channels-last, p = 0.3. Reported are medians, and the ratio with its
range over the middle half of the rounds.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F

from simulacra.engine.hardware import keep_memory
from simulacra.networks.kernels.dropout import Dropout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=0, help="0 takes all")
    parser.add_argument("--rounds", type=int, default=30)
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads or torch.get_num_threads())
    keep_memory()
    print(f"{torch.get_num_threads()} threads, {parsed.rounds} rounds\n")
    print("| arithmetic | stock, ms | from bytes, ms | stock / bytes (middle half of the rounds) |\n|---|---|---|---|")
    for kind in (torch.float32, torch.bfloat16):
        stock, ours = measure(kind, parsed.rounds)
        low, middle, high = np.quantile(stock / ours, [0.25, 0.5, 0.75])
        cells = f"{1e3 * np.median(stock):.2f} | {1e3 * np.median(ours):.2f} | {middle:.1f}x ({low:.1f}-{high:.1f})"
        print(f"| {str(kind).removeprefix('torch.')} | {cells} |")


def measure(kind: torch.dtype, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds of every round: stock, from bytes. The first of each is not counted."""
    values = torch.randn(128, 64, 14, 14, dtype=kind).to(memory_format=torch.channels_last).requires_grad_()
    upstream, layer = torch.randn_like(values), Dropout(0.3)
    seconds: dict[str, list[float]] = {"stock": [], "bytes": []}
    for _ in range(rounds + 1):
        for name, function in (("stock", lambda: F.dropout(values, layer.p)), ("bytes", lambda: layer(values))):
            began = time.perf_counter()
            torch.autograd.grad(function(), values, upstream)
            seconds[name].append(time.perf_counter() - began)
    return np.array(seconds["stock"][1:]), np.array(seconds["bytes"][1:])


if __name__ == "__main__":
    main()

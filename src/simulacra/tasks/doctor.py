"""Examine the machine: what there is, how fast it multiplies, what is switched on and why not."""

import time
from typing import Any

import torch

from simulacra.engine import hardware

_SIDE, _ROUNDS = 1024, 8


def examine() -> dict[str, Any]:
    """Return facts about the machine, with measured rates of matrix multiplication in GFLOP/s."""
    device = hardware.device_of("auto")
    rates = {str(kind).removeprefix("torch."): _rate(device, kind) for kind in (torch.float32, torch.bfloat16)}
    native = hardware.has_bfloat16(device)
    return {
        "torch": torch.__version__,
        "hardware": hardware.describe(),
        "device": device.type,
        "matmul_gflops": rates,
        "accelerations": {
            "bfloat16": "on" if native else f"off: the {device.type} has no native bfloat16 arithmetic",
            "allocator keeps memory": "on"
            if hardware.keep_memory()
            else "off: needs Linux with glibc, and SIMULACRA_MALLOC not 0",
        },
    }


def _rate(device: torch.device, kind: torch.dtype) -> float:
    """Return the best of several timed products of two square matrices, in GFLOP/s."""
    left, right = (torch.randn(_SIDE, _SIDE, device=device).to(kind) for _ in range(2))
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        (left @ right).sum().item()
        best = min(best, time.perf_counter() - began)
    return round(2 * _SIDE**3 / best / 1e9, 1)

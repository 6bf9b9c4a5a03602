"""Measures how fast a device computes: short benchmarks, each the best of several rounds."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

_BUDGET = 0.12  # seconds of one measurement
_LONG = 0.02  # seconds of one product; larger products are not measured
_SIDES = (512, 1024, 2048, 4096, 8192)
_CHANNELS, _SIDE = 64, 28  # of the images of the convolution


def measure(device: torch.device, convolved: torch.dtype) -> dict[str, float]:
    """Return rates by name and unit; the 3x3 convolution is the forward pass, channels-last, in the type `convolved`."""
    return {
        "matmul_float32_gflops": matmul(device, torch.float32),
        "matmul_bfloat16_gflops": matmul(device, torch.bfloat16),
        "convolution_gflops": convolution(device, convolved),
        "copy_gib_per_second": copy(device),
    }


def matmul(device: torch.device, kind: torch.dtype) -> float:
    """Return the rate of square matrix products in GFLOP/s, the best over sizes from 512 up."""
    rate = 0.0
    for side in _SIDES:
        left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
        seconds = _best(device, partial(torch.matmul, left, right))
        rate = max(rate, 2 * side**3 / seconds / 1e9)
        if seconds > _LONG / 8:  # the next size takes eight times as long
            break
    return round(rate, 1)


def convolution(device: torch.device, kind: torch.dtype) -> float:
    """Return the rate of a 3x3 convolution from 64 to 64 channels at 28x28, in GFLOP/s."""
    images = 16 if device.type == "cpu" else 256
    features, weight = torch.randn(images, _CHANNELS, _SIDE, _SIDE), torch.randn(_CHANNELS, _CHANNELS, 3, 3)
    features, weight = (tensor.to(device, kind, memory_format=torch.channels_last) for tensor in (features, weight))
    seconds = _best(device, lambda: F.conv2d(features, weight, padding=1))
    return round(2 * images * _SIDE**2 * _CHANNELS**2 * 9 / seconds / 1e9, 1)


def copy(device: torch.device) -> float:
    """Return the rate of a copy in GiB/s of copied bytes, each read once and written once."""
    source = torch.ones(2**26 if device.type == "cpu" else 2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return round(source.numel() / _best(device, lambda: target.copy_(source)) / 2**30, 1)


def _best(device: torch.device, work: Callable[[], Any]) -> float:
    """Return the seconds of the fastest round within the time budget, after one warm-up round."""
    rounds: list[float] = []
    while len(rounds) < 2 or sum(rounds[1:]) < _BUDGET:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        rounds.append(time.perf_counter() - began)
    return min(rounds[1:])

"""Schedules: functions from time in [0, 1] to the logarithm of the signal-to-noise ratio; and grids of levels to sample at.

Every schedule is finite and strictly decreasing on the closed interval, so that any number of levels T >= 2 gives a valid chain
(trap 11): where a paper's schedule has no noise at its beginning or no image at its end, it is cut a little inside.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level, Path, clean

Schedule = Callable[[Tensor], Tensor]

_FIRST_BETA, _LOWEST, _HIGHEST = 1e-4, 0.1, 20.0  # of the linear schedule: Ho et al. 2020, section 4, times their 1000 steps
_OFFSET = 0.008  # of the cosine schedule (Nichol & Dhariwal 2021, section 3.2)
_CUT = 0.004  # of its end, where alpha would be 0
_STEEP = 3.0  # the sigmoid schedule runs over [-3, 3] (Jabri et al. 2022, figure 4)
_LEAST = 4e-5  # alpha^2 at the end of the sigmoid schedule, and, about, of the linear and the cosine one
_SMALLEST, _LARGEST, _RHO = 0.002, 80.0, 7.0  # sigmas (Karras et al. 2022, table 1)
_BISECTIONS = 60


def linear(time: Tensor) -> Tensor:
    """Return the log SNR where the rate of noise beta(t) grows linearly (Ho et al. 2020, section 4).

    log alpha^2 = -(b0 + b t + (B - b) t^2 / 2) with b = 0.1, B = 20 (Song et al. 2021, eq. 33), and b0 = 1e-4, the noise of the
    first of 1000 steps. Being an integral, not a product of T factors 1 - beta, it holds for few steps, too.
    """
    integral = _FIRST_BETA + _LOWEST * time + 0.5 * (_HIGHEST - _LOWEST) * time**2
    return -torch.log(torch.expm1(integral))


def cosine(time: Tensor) -> Tensor:
    """Return the log SNR of alpha = cos(angle), sigma = sin(angle), the angle linear in time (Nichol & Dhariwal 2021, eq. 17).

    The angle runs from 0.008 / 1.008 to 1 - 0.004 of a right one. They divide by the first alpha, after which the first level has
    no noise at all, and limit beta to 0.999 because the last one has no image; here both ends are left as the angle says.
    """
    first, last = 0.5 * math.pi * _OFFSET / (1 + _OFFSET), 0.5 * math.pi * (1 - _CUT)
    return -2 * torch.log(torch.tan(first + (last - first) * time))


def sigmoid(time: Tensor) -> Tensor:
    """Return the log SNR where alpha^2 falls along a sigmoid (Jabri et al. 2022, algorithm 1; start -3, end 3, tau 1).

    alpha^2 is squeezed into [4e-5, 1 - 1e-4]: theirs reaches 0 and 1.
    """
    start, end = (1 / (1 + math.exp(side)) for side in (-_STEEP, _STEEP))
    fallen = (torch.sigmoid(_STEEP - 2 * _STEEP * time) - end) / (start - end)
    return torch.logit(_LEAST + (1 - _FIRST_BETA - _LEAST) * fallen)


def karras(time: Tensor) -> Tensor:
    """Return the log SNR -2 log sigma with sigma^(1/7) linear from 0.002 to 80 (Karras et al. 2022, eq. 5)."""
    low, high = _SMALLEST ** (1 / _RHO), _LARGEST ** (1 / _RHO)
    return -2 * _RHO * torch.log(low + (high - low) * time)


SCHEDULES: dict[str, Schedule] = {"linear": linear, "cosine": cosine, "sigmoid": sigmoid, "karras": karras}


def stratified(count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return times in [0, 1), float64 [count]: each uniform, together evenly spread (Kingma et al. 2021, appendix I.1).

    The loss of a batch varies less so than with independent times.
    """
    shares = torch.arange(count, dtype=torch.float64, device=device) / count
    return (shares + torch.rand(1, dtype=torch.float64, device=device)) % 1


# --- grids


Spacing = Literal["time", "log-snr", "karras"]


def chain(path: Path, count: int) -> Level:
    """Return the `count` levels of a discrete chain, time 0 first: level i of Ho et al. (2020) has time i / (count - 1).

    Raises ValueError for fewer than two.
    """
    if count < 2:
        raise ValueError(f"a chain of {count} levels: expected at least 2, such as 1000")
    return path(torch.linspace(0, 1, count, dtype=torch.float64))


def grid(path: Path, steps: int, spacing: Spacing) -> Level:
    """Return the steps + 1 levels at which a sampler stands, the noisiest first, the image itself last.

    `time`: equal steps of time; `log-snr`: equal steps of the log SNR (Lu et al. 2022, section 4.1); `karras`: equal steps of
    (sigma / alpha)^(1/7) (Karras et al. 2022, eq. 5). The last two need a finite log SNR. One step is from noise to image.
    Raises ValueError for fewer steps than one.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected at least 1")
    if spacing == "time":
        return clean(path(torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1]))
    return clean(row(path, steps, spacing))


def row(path: Path, count: int, spacing: Spacing) -> Level:
    """Return `count` levels from the noisiest to the least noisy of a path, both included, spaced as in a `grid`."""
    shares = torch.linspace(0, 1, max(count, 2), dtype=torch.float64)[:count]
    if spacing == "time":
        return path(1 - shares)
    ends = path(torch.tensor([1.0, 0.0], dtype=torch.float64)).log_snr
    if spacing == "log-snr":
        return path(time_of(path, torch.lerp(ends[0], ends[1], shares)))
    noisiest, cleanest = torch.exp(-0.5 * ends / _RHO)
    return path(time_of(path, -2 * _RHO * torch.log(torch.lerp(noisiest, cleanest, shares))))


def time_of(path: Path, log_snr: Tensor) -> Tensor:
    """Return the times in [0, 1] of log SNRs of any shape, by bisection; the nearer end for what lies beyond the path."""
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        noisier = path(middle).log_snr > log_snr  # the time sought is later
        low, high = torch.where(noisier, middle, low), torch.where(noisier, high, middle)
    return 0.5 * (low + high)

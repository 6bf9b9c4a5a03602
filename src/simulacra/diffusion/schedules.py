"""Noise schedules, functions from time in [0, 1] to the log signal-to-noise ratio, and sequences of noise levels for sampling.

Every schedule is finite and strictly decreasing on the closed interval, so any number of levels of at least 2 forms a valid chain
(trap 11). Schedules whose published form has no noise at the start or no image at the end are cut off slightly inside.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels, ProbabilityPath, append_clean_level

Schedule = Callable[[Tensor], Tensor]
"""From times in [0, 1] to log SNRs of the same shape."""

_FIRST_BETA, _BETA_MIN, _BETA_MAX = 1e-4, 0.1, 20.0  # linear schedule: Ho et al. 2020, section 4, times their 1000 steps
_COSINE_OFFSET = 0.008  # Nichol & Dhariwal 2021, section 3.2
_COSINE_CUT = 0.004  # at the end of the cosine schedule, where alpha would be 0
_SIGMOID_RANGE = 3.0  # the sigmoid schedule runs over [-3, 3] (Jabri et al. 2022, figure 4)
_SIGMOID_MIN = 4e-5  # alpha^2 at the end of the sigmoid schedule, about that of the linear and cosine schedules
_SIGMA_MIN, _SIGMA_MAX, _RHO = 0.002, 80.0, 7.0  # Karras et al. 2022, table 1
_BISECTIONS = 60


def linear(time: Tensor) -> Tensor:
    """Return the log SNR of the linear schedule, in which beta(t) increases linearly (Ho et al. 2020, section 4).

    log alpha^2 = -(b0 + b t + (B - b) t^2 / 2) with b = 0.1, B = 20 (Song et al. 2021, eq. 33) and b0 = 1e-4, the first of the
    1000 values of beta. As an integral instead of a product of factors 1 - beta, it is also valid for few steps.
    """
    integral = _FIRST_BETA + _BETA_MIN * time + 0.5 * (_BETA_MAX - _BETA_MIN) * time**2
    return -torch.log(torch.expm1(integral))


def cosine(time: Tensor) -> Tensor:
    """Return the log SNR of the cosine schedule: alpha = cos(angle), angle linear in time (Nichol & Dhariwal 2021, eq. 17).

    The angle runs from 0.008 / 1.008 to 0.996 of pi / 2. The paper divides by the first alpha, which leaves no noise at the first
    level, and limits beta to 0.999, because the last level has no image; here the cut-off angles replace both.
    """
    first, last = 0.5 * math.pi * _COSINE_OFFSET / (1 + _COSINE_OFFSET), 0.5 * math.pi * (1 - _COSINE_CUT)
    return -2 * torch.log(torch.tan(first + (last - first) * time))


def sigmoid(time: Tensor) -> Tensor:
    """Return the log SNR of the sigmoid schedule of alpha^2 (Jabri et al. 2022, algorithm 1; start -3, end 3, tau 1).

    alpha^2 is rescaled to [4e-5, 1 - 1e-4]; the paper's reaches 0 and 1.
    """
    start, end = (1 / (1 + math.exp(side)) for side in (-_SIGMOID_RANGE, _SIGMOID_RANGE))
    normalized = (torch.sigmoid(_SIGMOID_RANGE - 2 * _SIGMOID_RANGE * time) - end) / (start - end)
    return torch.logit(_SIGMOID_MIN + (1 - _FIRST_BETA - _SIGMOID_MIN) * normalized)


def karras(time: Tensor) -> Tensor:
    """Return the log SNR -2 log sigma, with sigma^(1/7) linear in time from 0.002 to 80 (Karras et al. 2022, eq. 5)."""
    low, high = _SIGMA_MIN ** (1 / _RHO), _SIGMA_MAX ** (1 / _RHO)
    return -2 * _RHO * torch.log(low + (high - low) * time)


SCHEDULES: dict[str, Schedule] = {"linear": linear, "cosine": cosine, "sigmoid": sigmoid, "karras": karras}


def stratified_times(count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return times in [0, 1), float64 [count]: each uniform, together evenly spaced (Kingma et al. 2021, appendix I.1).

    A batch's loss has less variance with them than with independent times. Draws from torch's global generator.
    """
    offsets = torch.arange(count, dtype=torch.float64, device=device) / count
    return (offsets + torch.rand(1, dtype=torch.float64, device=device)) % 1


Spacing = Literal["time", "log-snr", "karras"]
"""Quantity in which noise levels are evenly spaced: time, log SNR (Lu et al. 2022, section 4.1) or (sigma / alpha)^(1/7) (Karras
et al. 2022, eq. 5). The last two need a path with a finite log SNR."""


def chain_levels(path: ProbabilityPath, count: int) -> NoiseLevels:
    """Return `count` levels of a chain at times i / (count - 1) (Ho et al. 2020); raises ValueError if `count` is less than 2."""
    if count < 2:
        raise ValueError(f"a chain of {count} levels: expected at least 2, such as 1000")
    return path(torch.linspace(0, 1, count, dtype=torch.float64))


def sampling_levels(path: ProbabilityPath, steps: int, spacing: Spacing) -> NoiseLevels:
    """Return a sampler's steps + 1 levels, from the path's noisiest to the clean image; raises ValueError for no steps."""
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected at least 1")
    if spacing == "time":
        return append_clean_level(path(torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1]))
    return append_clean_level(spaced_levels(path, steps, spacing))


def spaced_levels(path: ProbabilityPath, count: int, spacing: Spacing) -> NoiseLevels:
    """Return `count` levels of a path, from the noisiest to the least noisy, both included."""
    fractions = torch.linspace(0, 1, max(count, 2), dtype=torch.float64)[:count]
    if spacing == "time":
        return path(1 - fractions)
    ends = path(torch.tensor([1.0, 0.0], dtype=torch.float64)).log_snr
    if spacing == "log-snr":
        return path(time_from_log_snr(path, torch.lerp(ends[0], ends[1], fractions)))
    noisiest, cleanest = torch.exp(-0.5 * ends / _RHO)
    return path(time_from_log_snr(path, -2 * _RHO * torch.log(torch.lerp(noisiest, cleanest, fractions))))


def time_from_log_snr(path: ProbabilityPath, log_snr: Tensor) -> Tensor:
    """Return the times in [0, 1] of log SNRs of any shape, by bisection; log SNRs outside the path give the nearer end."""
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        is_later = path(middle).log_snr > log_snr
        low, high = torch.where(is_later, middle, low), torch.where(is_later, high, middle)
    return 0.5 * (low + high)

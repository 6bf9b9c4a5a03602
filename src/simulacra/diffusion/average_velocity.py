"""Average velocities along the trajectories of a flow, with which a step of any length is exact (Geng et al. 2025, MeanFlow).

The average velocity from time t back to r is u(z_t; r, t) = (z_t - z_r) / (t - r), for the trajectory z through z_t; at r = t it
is the velocity of the flow. It is learned from the identity that a step equals two steps of half its length (Frans et al. 2025,
shortcut models): for the time s halfway between r and t,

    u(z_t; r, t) = (u(z_t; s, t) + u(z_s; r, s)) / 2,        z_s = z_t - (t - s) u(z_t; s, t).

The shortest steps are split into two steps of the velocity. Times are float64 [b]; a batch's velocities are [b c h w].
"""

from collections.abc import Callable

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import broadcast_like

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Average velocities of noisy images from times to ends."""

MOST_STEPS = 16  # the lengths of steps that are learned are 1, 1/2, 1/3, ..., 1 / MOST_STEPS


def drawn_steps(count: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return times t and ends r of `count` steps, of length 1/n and uniform position in [0, 1]; n is drawn in proportion to 1/n.

    Three tenths of the steps have length 1. Uses the global generator of the device.
    """
    lengths = 1 / torch.arange(1, MOST_STEPS + 1, dtype=torch.float64, device=device)
    length = lengths[torch.multinomial(lengths, count, replacement=True)]
    ends = (1 - length) * torch.rand(count, dtype=torch.float64, device=device)
    return ends + length, ends


def moved(noisy: Tensor, velocity: Tensor, times: Tensor, ends: Tensor) -> Tensor:
    """Return noisy images moved along a velocity from `times` to `ends`: z_t - (t - r) v."""
    return noisy - broadcast_like(times - ends, noisy) * velocity


def halved_step(velocity: Velocity, noisy: Tensor, times: Tensor, ends: Tensor) -> Tensor:
    """Return the average velocity of two steps of half the length, from `times` to `ends`.

    Halves that are shorter than the lengths that are learned have the velocity at their beginning.
    """
    between = (times + ends) / 2
    short = times - between < 1 / MOST_STEPS - 1e-9
    first = velocity(noisy, times, torch.where(short, times, between))
    second = velocity(moved(noisy, first, times, between), between, torch.where(short, between, ends))
    return (first + second) / 2

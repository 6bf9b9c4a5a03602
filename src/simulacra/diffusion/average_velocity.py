"""Average velocities along the trajectories of a flow, with which a step of any length is exact (Geng et al. 2025, MeanFlow).

The average velocity from time t back to r is u(z_t; r, t) = (z_t - z_r) / (t - r), for the trajectory z through z_t; at r = t it
is the velocity of the flow. It is learned from its discrete identity (Zhang et al. 2025, AlphaFlow), without derivatives of
the network: for a time s between r and t,

    (t - r) u(z_t; r, t) = (t - s) v + (s - r) u(z_s; r, s),        z_s = z_t - (t - s) v,        s = t - share (t - r).

With share 1 the target is the velocity v, as in flow matching; as the share decreases to 0, the step from t to s becomes that of
the trajectory, and the identity that of average velocities. Times are float64 [b]; a batch's velocities are [b c h w].
"""

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import broadcast_like

_SHARES = ((0.1, 1.0), (0.3, 0.5), (0.5, 0.25), (0.7, 0.1))  # up to these fractions of the training; 0.05 after them
_LAST = 0.05
_FLOOR = 1e-3  # added to a squared error before its inverse becomes a weight (Geng et al. 2025, eq. 22)


def share_of_step(done: float) -> float:
    """Return the share of the step for which the velocity is used, by the fraction of the training that is done, in [0, 1].

    >>> [share_of_step(done) for done in (0.0, 0.2, 0.9)]
    [1.0, 0.5, 0.05]
    """
    return next((share for end, share in _SHARES if done < end), _LAST)


def drawn_ends(times: Tensor) -> Tensor:
    """Return ends r of steps from times t: t for every second image, else uniform in [0, t]. Uses the global generator."""
    ends = torch.rand_like(times) * times
    ends[::2] = times[::2]
    return ends


def intermediate_times(times: Tensor, ends: Tensor, share: float) -> Tensor:
    """Return s = t - share (t - r)."""
    return times - share * (times - ends)


def moved(noisy: Tensor, velocity: Tensor, times: Tensor, ends: Tensor) -> Tensor:
    """Return noisy images moved along a velocity from `times` to `ends`: z_t - (t - r) v."""
    return noisy - broadcast_like(times - ends, noisy) * velocity


def average_velocity_target(velocity: Tensor, rest: Tensor, share: float) -> Tensor:
    """Return the target share v + (1 - share) u(z_s; r, s), where `rest` is the average velocity of the rest of the step."""
    return share * velocity + (1 - share) * rest


def error_weights(errors: Tensor) -> Tensor:
    """Return weights [b] of squared errors [b]: their inverses, without gradient (Geng et al. 2025, eq. 22)."""
    return 1 / (errors.detach() + _FLOOR)

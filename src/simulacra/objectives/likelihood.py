"""Log-likelihoods of images under pixel distributions, in nats, summed over all axes but the first.

weight: of every value in the sum, broadcast to [b ...], such as 1 for hidden pixels and 0 for known ones; None is 1 everywhere.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_LEVELS = 256  # of a pixel


def bernoulli(logits: Tensor, observed: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return log p [b] of pixels [b ...] in [0, 1] under Bernoulli(sigmoid(logits)).

    For binary pixels this is a log-likelihood; for grey levels it is minus the cross-entropy, which is no likelihood.
    """
    return -_total(F.binary_cross_entropy_with_logits(logits, observed, reduction="none"), weight)


def bernoulli_entropy(means: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the entropy [b] of Bernoulli pixels with means [b ...] in [0, 1]: the least value of minus `bernoulli`.

    The cross-entropy of grey levels is smallest where the predicted means equal them.
    """
    return -_total(torch.xlogy(means, means) + torch.xlogy(1 - means, 1 - means), weight)


def gaussian(mean: Tensor, log_sigma: Tensor, observed: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the log-density [b] of pixels [b ...] under N(mean, exp(log_sigma)^2); log_sigma is broadcast."""
    deviation = (observed - mean) * torch.exp(-log_sigma)
    return _total(-0.5 * (deviation**2 + math.log(2 * math.pi)) - log_sigma, weight)


def discretized_logistic(mean: Tensor, log_scale: Tensor, observed: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return log p [b] of 256-level pixels [b ...] in {0, 1/255, ..., 1} under a discretized logistic distribution.

    Each level has the logistic distribution's mass in a bin of width 1/255; the outermost bins include the tails (Kingma et al.
    2016, appendix D; Salimans et al. 2017, eq. 2). Numerically stable in the tails, where the difference of two sigmoids would
    cancel: sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
    """
    half = 0.5 / (_LEVELS - 1)
    inverse = torch.exp(-log_scale)
    upper, lower = (observed - mean + half) * inverse, (observed - mean - half) * inverse
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-2 * half * inverse))
    log_mass = torch.where(observed < half, F.logsigmoid(upper), torch.where(observed > 1 - half, F.logsigmoid(-lower), inside))
    return _total(log_mass, weight)


def discretized_gaussian(mean: Tensor, log_sigma: Tensor, observed: Tensor) -> Tensor:
    """Return log p [b] of 256-level pixels [b ...] in {0, 1/255, ..., 1} under a discretized Gaussian; log_sigma is broadcast.

    Each level has the Gaussian's mass in a bin of width 1/255; the outermost bins include the tails (Ho et al. 2020, eq. 13).
    Bins in the upper tail are reflected into the lower tail, where the logarithm of the mass is numerically stable.
    """
    half = 0.5 / (_LEVELS - 1)
    inverse = torch.exp(-log_sigma)
    upper, lower = (observed - mean + half) * inverse, (observed - mean - half) * inverse
    above = lower > 0
    high, low = torch.where(above, -lower, upper), torch.where(above, -upper, lower)
    tail = torch.special.log_ndtr(high)
    inside = tail + torch.log(-torch.expm1(torch.special.log_ndtr(low) - tail))
    first, last = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
    log_mass = torch.where(observed < half, first, torch.where(observed > 1 - half, last, inside))
    return log_mass.flatten(1).sum(1)


def bits_per_dimension(nats: Tensor | float, dimensions: int) -> Tensor | float:
    """Convert a negative log-likelihood in nats per image to bits per dimension."""
    return nats / (dimensions * math.log(2))


def _total(values: Tensor, weight: Tensor | None) -> Tensor:
    """Return the weighted sum [b] of values [b ...] over all axes but the first."""
    if weight is not None:  # in the memory layout of the values, so that their gradient has it too
        values = values * torch.empty_like(values).copy_(weight)
    return values.flatten(1).sum(1)

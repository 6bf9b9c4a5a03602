"""Log-likelihoods of images under the distributions that decoders describe: nats, summed over each image, float32."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_LEVELS = 256


def bernoulli(logits: Tensor, observed: Tensor) -> Tensor:
    """Return log p [b] of pixels under Bernoulli(sigmoid(logits)), summed over [b ...].

    `observed` in [0, 1]. For grey levels this is minus the cross-entropy: a bound's target, not the likelihood of binary data.
    """
    return -F.binary_cross_entropy_with_logits(logits, observed, reduction="none").flatten(1).sum(1)


def gaussian(mean: Tensor, log_sigma: Tensor, observed: Tensor) -> Tensor:
    """Return the log-density [b] of pixels under N(mean, exp(log_sigma)^2), summed over [b ...]; log_sigma broadcasts."""
    deviation = (observed - mean) * torch.exp(-log_sigma)
    return (-0.5 * (deviation**2 + math.log(2 * math.pi)) - log_sigma).flatten(1).sum(1)


def discretized_logistic(mean: Tensor, log_scale: Tensor, observed: Tensor) -> Tensor:
    """Return log p [b] of 256-level pixels, observed in {0, 1/255, ..., 1}, summed over [b ...].

    Each level has the mass that a logistic distribution puts on its bin of width 1/255; the outermost bins take the tails
    (Kingma et al. 2016, appendix D; Salimans et al. 2017, eq. 2). Exact in the tails, where the difference of two
    sigmoids would cancel: sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
    """
    half = 0.5 / (_LEVELS - 1)
    inverse = torch.exp(-log_scale)
    upper, lower = (observed - mean + half) * inverse, (observed - mean - half) * inverse
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-2 * half * inverse))
    log_mass = torch.where(observed < half, F.logsigmoid(upper), torch.where(observed > 1 - half, F.logsigmoid(-lower), inside))
    return log_mass.flatten(1).sum(1)


def discretized_gaussian(mean: Tensor, log_sigma: Tensor, observed: Tensor) -> Tensor:
    """Return log p [b] of 256-level pixels, observed in {0, 1/255, ..., 1}, summed over [b ...]; log_sigma broadcasts.

    As `discretized_logistic`, with a Gaussian's mass in each bin (Ho et al. 2020, eq. 13). Where both edges of a bin lie in the
    upper tail they are mirrored into the lower one, in which the logarithm of the mass is exact.
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
    """Return bits per dimension of a negative log-likelihood in nats per image."""
    return nats / (dimensions * math.log(2))

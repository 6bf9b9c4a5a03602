"""Divergences, log-densities and bounds of latent-variable models, in nats."""

import math

import torch
from torch import Tensor


def kl_to_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_var)) || N(0, 1)) per dimension, in the shape of `mean` (Kingma & Welling 2013, appendix B).

    >>> kl_to_standard_normal(torch.tensor(3.0), torch.tensor(0.0)).item()
    4.5
    """
    return 0.5 * (mean**2 + torch.exp(log_var) - 1 - log_var)


def kl_between_normals(mean: Tensor, log_var: Tensor, prior_mean: Tensor, prior_log_var: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_var)) || N(prior_mean, exp(prior_log_var))) per dimension, in the shape of `mean`.

    >>> kl_between_normals(torch.tensor(5.0), torch.tensor(0.0), torch.tensor(2.0), torch.tensor(0.0)).item()
    4.5
    """
    ratio = log_var - prior_log_var
    return 0.5 * ((mean - prior_mean) ** 2 * torch.exp(-prior_log_var) + torch.exp(ratio) - 1 - ratio)


def normal_log_density(value: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return log N(value; mean, exp(log_var)), summed over the last axis."""
    terms = (value - mean) ** 2 * torch.exp(-log_var) + log_var + math.log(2 * math.pi)
    return -0.5 * terms.sum(-1)


def standard_normal_log_density(value: Tensor) -> Tensor:
    """Return log N(value; 0, 1), summed over the last axis."""
    return -0.5 * (value**2 + math.log(2 * math.pi)).sum(-1)


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """Return log (1/k) sum_k w_k [b] of log-weights [k b]: on average a lower bound of log p(x) (Burda et al. 2015, eq. 8)."""
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))

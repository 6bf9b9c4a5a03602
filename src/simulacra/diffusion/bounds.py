"""The variational bound of a diffusion model with discrete noise levels (Ho et al. 2020, eq. 5).

Images are in [-1, 1] and have 256 levels per pixel. All terms are in nats, sums over pixels, one value per image. Their total,
prior + steps + decoder, is an upper bound on -log p(image).
"""

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels, broadcast_like
from simulacra.diffusion.samplers import DenoiserOutput, posterior_mean
from simulacra.diffusion.variances import learned_log_variance, posterior_variance
from simulacra.objectives.likelihood import discretized_gaussian

CHAIN_LENGTH = 1000  # noise levels (Ho et al. 2020, section 4)
_LOG_SNR_LIMIT = 15.0  # changes of the log SNR beyond +-15 are ignored in step probabilities


def prior_nats(images: Tensor, level: NoiseLevels) -> Tensor:
    """Return the KL divergence [b] from the noisiest level, given the image, to the prior of sampling (L_T of eq. 5)."""
    factors = level.broadcast_to(images)
    prior_variance = factors.alpha**2 + factors.sigma**2
    ratio = factors.sigma**2 / prior_variance
    return 0.5 * (ratio - 1 - ratio.log() + factors.alpha**2 / prior_variance * images**2).flatten(1).sum(1)


def step_nats(output: DenoiserOutput, images: Tensor, noisy: Tensor, level: NoiseLevels, next_level: NoiseLevels) -> Tensor:
    """Return the KL divergence [b] from the forward process posterior to the model's reverse step (L_t-1 of eq. 5).

    The step leads from `level` to the less noisy `next_level`. Both distributions are Gaussian. If the variance is not learned,
    both have the posterior variance, and the KL divergence is (next SNR - SNR) / 2 times the squared error of the image (Kingma
    et al. 2021, eq. 14).
    """
    true_mean, predicted_mean = (posterior_mean(image, noisy, level, next_level) for image in (images, output.image))
    log_var = broadcast_like(posterior_variance(level, next_level).log(), noisy)
    predicted_log_var = log_var
    if output.variance_interpolation is not None:
        levels = _broadcast_double(level, noisy), _broadcast_double(next_level, noisy)
        predicted_log_var = learned_log_variance(output.variance_interpolation, *levels)
    squares = (true_mean - predicted_mean) ** 2
    difference = log_var - predicted_log_var
    return 0.5 * (torch.exp(difference) - 1 - difference + squares * torch.exp(-predicted_log_var)).flatten(1).sum(1)


def decoder_nats(output: DenoiserOutput, images: Tensor, level: NoiseLevels) -> Tensor:
    """Return -log p [b] of the 256-level image given the least noisy level (L_0 of eq. 5, and eq. 13).

    The standard deviation is that of the level's noise: sigma^2 = beta_1 on variance-preserving paths. A learned variance is not
    used, because its lower bound is zero in this step.
    """
    factors = level.broadcast_to(images)
    sigma = 0.5 * factors.sigma / (factors.alpha**2 + factors.sigma**2).sqrt()  # for images in [0, 1]
    return -discretized_gaussian(0.5 * (output.image + 1), sigma.log(), 0.5 * (images + 1))


def step_probabilities(levels: NoiseLevels) -> Tensor:
    """Return the probabilities [n - 1] with which the steps of a chain [n], least noisy level first, are sampled.

    Half of the probability is uniform; half is proportional to the change of the log SNR, because steps near the image contribute
    almost all of the bound. With uniform probabilities, the estimated sum has twice the standard error (measured on digits).
    """
    widths = -levels.log_snr.clamp(-_LOG_SNR_LIMIT, _LOG_SNR_LIMIT).diff()
    return 0.5 * widths / widths.sum() + 0.5 / len(widths)


def _broadcast_double(level: NoiseLevels, images: Tensor) -> NoiseLevels:
    """Return the level as float64 factors of images: float32 is too coarse for differences of the log SNR."""
    return level.broadcast_to(images.detach()[:1].double())

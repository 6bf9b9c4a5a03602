"""The variational bound of a diffusion model with discrete noise levels (Ho et al. 2020, eq. 5).

Images are in [-1, 1] and have 256 levels per pixel. All terms are in nats, sums over pixels, one value per image. Their total,
prior + steps + decoder, is an upper bound on -log p(image).
"""

import math

import torch
from torch import Tensor

from simulacra.core.capabilities import DiffusionBound
from simulacra.diffusion.noise_levels import (
    NoiseLevels,
    ProbabilityPath,
    add_noise,
    broadcast_like,
    learned_log_variance,
    posterior_variance,
)
from simulacra.diffusion.samplers import Denoiser, DenoiserOutput, posterior_mean
from simulacra.diffusion.schedules import chain_levels, stratified_times
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

    The step leads from `level` to the less noisy `next_level`. Both distributions are Gaussian; without a learned variance, of
    equal variance: then it is (next SNR - SNR) / 2 times the squared error of the image (Kingma et al. 2021, eq. 14).
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


def diffusion_bound(denoiser: Denoiser, images: Tensor, path: ProbabilityPath, draws: int) -> DiffusionBound:
    """Return the terms of the bound of a path's chain of 1000 levels, with `draws` steps of each image from torch's generator."""
    levels = chain_levels(path, CHAIN_LENGTH)
    pairs = [_drawn_step(denoiser, images, levels) for _ in range(draws)]
    steps, times = (torch.stack([pair[side] for pair in pairs], 1) for side in (0, 1))
    nearest = denoiser(add_noise(images, torch.randn_like(images), levels[0]), levels[0])
    decoder = decoder_nats(nearest, images, levels[0])
    return DiffusionBound(prior_nats(images, levels[-1]), decoder, steps, times, CHAIN_LENGTH - 1)


def step_bits_per_dimension(
    output: DenoiserOutput, images: Tensor, noisy: Tensor, level: NoiseLevels, path: ProbabilityPath
) -> Tensor:
    """Return the cost of steps of the chain of 1000 levels in bits per dimension, a mean over images: 0.001 times the bound.

    The last reverse step, to the image itself, has a different variance and is omitted.
    """
    width = 1 / (CHAIN_LENGTH - 1)
    here = path(level.time.clamp_min(width))
    nats = step_nats(output, images, noisy, here, path(here.time - width))
    return nats.mean() / (images[0].numel() * math.log(2))


def _drawn_step(denoiser: Denoiser, images: Tensor, levels: NoiseLevels) -> tuple[Tensor, Tensor]:
    """Return the cost of one random step for each image, divided by its relative frequency, and the time of the step."""
    shares = step_probabilities(levels)
    places = torch.searchsorted(shares.cumsum(0), stratified_times(len(images))).clamp_max(len(shares) - 1)
    here, there = levels[places + 1], levels[places]
    noisy = add_noise(images, torch.randn_like(images), here)
    cost = step_nats(denoiser(noisy, here), images, noisy, here, there)
    return cost / (len(shares) * shares[places]).to(images), here.time.to(images)


def _broadcast_double(level: NoiseLevels, images: Tensor) -> NoiseLevels:
    return level.broadcast_to(images.detach()[:1].double())

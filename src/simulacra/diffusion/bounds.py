"""The variational bound of a chain of noise levels, in nats: the cost of an image, level by level (Ho et al. 2020, eq. 5).

Images are in [-1, 1] and stand for 256 grey levels. All terms are sums over pixels, one for each image, and upper bounds of
-log p(image) when they are added up: prior + steps + decoder.
"""

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level, over
from simulacra.diffusion.samplers import Estimate, posterior_mean
from simulacra.diffusion.variances import learned_log_variance, posterior_variance
from simulacra.objectives.likelihood import discretized_gaussian

CHAIN = 1000  # levels (Ho et al. 2020, section 4)
_RANGE = 15.0  # of log SNRs that matter, either way


def prior_nats(images: Tensor, level: Level) -> Tensor:
    """Return KL [b] of the noisiest level given the image, to the noise that sampling begins with (L_T of eq. 5)."""
    at = level.of(images)
    spread = at.alpha**2 + at.sigma**2
    ratio = at.sigma**2 / spread
    return 0.5 * (ratio - 1 - ratio.log() + at.alpha**2 / spread * images**2).flatten(1).sum(1)


def step_nats(estimate: Estimate, images: Tensor, noisy: Tensor, here: Level, there: Level) -> Tensor:
    """Return KL [b] of the step from `here` to `there` with the image known to that with its estimate (L_t-1 of eq. 5).

    Both steps are Gaussian. They have one variance unless the model has learned its own; then KL is
    (SNR_there - SNR_here) / 2 times the squared error of the image (Kingma et al. 2021, eq. 14).
    """
    true, found = (posterior_mean(image, noisy, here, there) for image in (images, estimate.image))
    log_var = over(posterior_variance(here, there).log(), noisy)
    log_found = log_var
    if estimate.share is not None:
        log_found = learned_log_variance(estimate.share, _over(here, noisy), _over(there, noisy))
    squares = (true - found) ** 2
    gap = log_var - log_found
    return 0.5 * (torch.exp(gap) - 1 - gap + squares * torch.exp(-log_found)).flatten(1).sum(1)


def decoder_nats(estimate: Estimate, images: Tensor, level: Level) -> Tensor:
    """Return -log p [b] of the 256 levels given the least noisy level (L_0 of eq. 5, and eq. 13).

    The standard deviation is that of the level's noise, sigma^2 = beta_1 on variance-preserving paths. A learned share is not
    used here: it says where between two variances the truth lies, of which one is zero.
    """
    at = level.of(images)
    sigma = 0.5 * at.sigma / (at.alpha**2 + at.sigma**2).sqrt()  # on the scale of [0, 1]
    return -discretized_gaussian(0.5 * (estimate.image + 1), sigma.log(), 0.5 * (images + 1))


def step_shares(levels: Level) -> Tensor:
    """Return how often each step of a chain [n], least noisy level first, is drawn for an estimate of their sum: [n - 1], sum 1.

    Half of the draws are even; the others go by how much the log SNR changes, since that is what steps cost near the image,
    where nearly all is paid. Drawn evenly alone, sums have twice the standard error (measured on digits).
    """
    widths = -levels.log_snr.clamp(-_RANGE, _RANGE).diff()
    return 0.5 * widths / widths.sum() + 0.5 / len(widths)


def _over(level: Level, images: Tensor) -> Level:
    """Return the level in float64, shaped as a factor of images: differences of log SNR would be coarse in float32."""
    double = images.detach()[:1].double()
    return level.of(double)

"""Samplers: functions that follow a sequence of noise levels from noise to images, given a denoiser (after k-diffusion).

Deterministic samplers solve the probability flow ODE (Song et al. 2021, eq. 13), which maps noise to images one to one. They
follow levels in either order, so they also encode images as noise. Stochastic samplers draw fresh noise from `draw` only.

The last level can be the clean image (sigma 0): then the last step returns the denoiser's prediction. The first level can be pure
noise (alpha 0), as in flow matching. Denoisers are called at levels with sigma > 0 only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels, broadcast_like, learned_log_variance, posterior_variance
from simulacra.diffusion.parameterizations import noise_from_image
from simulacra.diffusion.schedules import Spacing


@dataclass(frozen=True)
class DenoiserOutput:
    """The prediction of a denoiser.

    image: [b ...]; variance_interpolation: v [b ...] of `learned_log_variance` if the model learns variances.
    """

    image: Tensor
    variance_interpolation: Tensor | None = None


Denoiser = Callable[[Tensor, NoiseLevels], DenoiserOutput]
"""From noisy images [b ...] at one level (scalars) to the predicted images."""

NoiseSource = Callable[[], Tensor]
"""Returns new standard normal noise of the images' shape at each call."""


class SamplerFunction(Protocol):
    """A sampler: from noisy images at the first level to images at the last level."""

    def __call__(self, denoiser: Denoiser, x: Tensor, levels: NoiseLevels, draw: NoiseSource, *, eta: float = 0.0) -> Tensor:
        """Return images [b ...] at the last level; `eta` is the fraction of fresh noise, ignored by samplers other than DDIM."""


def sample_ancestral(denoiser: Denoiser, x: Tensor, levels: NoiseLevels, draw: NoiseSource, *, eta: float = 0.0) -> Tensor:
    """Sample each level given the previous one and the predicted image (Ho et al. 2020, algorithm 2).

    Mean and variance are those of a step between the two given levels, which can be any distance apart (trap 12). The variance is
    the posterior variance (beta tilde), or the learned variance if there is one (Nichol & Dhariwal 2021, eq. 15).
    """
    for level, next_level in pairwise(levels):
        output = denoiser(x, level)
        mean = posterior_mean(output.image, x, level, next_level)
        x = mean if next_level.sigma == 0 else mean + _standard_deviation(output, level, next_level, x) * draw()
    return x


def posterior_mean(images: Tensor, noisy: Tensor, level: NoiseLevels, next_level: NoiseLevels) -> Tensor:
    """Return the mean [b ...] of `next_level` given image and noisy image at `level`, both [] or [b] (Ho et al. 2020, eq. 7)."""
    coefficient = next_level.sigma**2 / level.sigma**2 * level.alpha / next_level.alpha
    image_coefficient = next_level.alpha - level.alpha * coefficient
    return broadcast_like(coefficient, noisy) * noisy + broadcast_like(image_coefficient, noisy) * images


def sample_ddim(denoiser: Denoiser, x: Tensor, levels: NoiseLevels, draw: NoiseSource, *, eta: float = 0.0) -> Tensor:
    """Sample with DDIM: combine the predicted image and noise at the next level (Song et al. 2020, eq. 12 and 16).

    eta 0 is deterministic, and exact if the predicted image is constant; eta 1 equals ancestral sampling.
    """
    for level, next_level in pairwise(levels):
        denoised = denoiser(x, level).image
        fresh = eta**2 * posterior_variance(level, next_level) if eta else torch.zeros_like(next_level.sigma)
        kept = (next_level.sigma**2 - fresh).sqrt().to(x)
        x = next_level.broadcast_to(x).alpha * denoised + kept * noise_from_image(denoised, x, level)
        if fresh > 0:
            x = x + fresh.sqrt().to(x) * draw()
    return x


def sample_euler(denoiser: Denoiser, x: Tensor, levels: NoiseLevels, draw: NoiseSource, *, eta: float = 0.0) -> Tensor:
    """Sample with Euler's method, of first order (Karras et al. 2022, eq. 4).

    In the coordinates x / alpha over sigma / alpha, and in all proportional ones, a step equals a step of DDIM with eta 0; the
    two samplers differ in the spacing of their levels.
    """
    return sample_ddim(denoiser, x, levels, draw)


def sample_average(denoiser: Denoiser, x: Tensor, levels: NoiseLevels, draw: NoiseSource, *, eta: float = 0.0) -> Tensor:
    """Sample with average velocities (Geng et al. 2025, algorithm 2): steps that are exact at any length, if the model is.

    For denoisers that take the end of the step from `NoiseLevels.end`; the image that they predict is the end of the straight
    line along the average velocity.
    """
    for level, next_level in pairwise(levels):
        image = denoiser(x, replace(level, end=next_level.time)).image
        x = next_level.broadcast_to(x).alpha * image + next_level.sigma.to(x) * noise_from_image(image, x, level)
    return x


def sample_heun(denoiser: Denoiser, x: Tensor, levels: NoiseLevels, draw: NoiseSource, *, eta: float = 0.0) -> Tensor:
    """Sample with Heun's method, of second order (Karras et al. 2022, algorithm 1 without churn).

    Calls the denoiser twice per step, once in a step to sigma 0. The coordinates are x / (alpha + sigma) over
    sigma / (alpha + sigma), in which the derivative is noise - image; those of Karras et al. are undefined where alpha is 0.
    """
    for level, next_level in pairwise(levels):
        current, following = level.broadcast_to(x), next_level.broadcast_to(x)
        denoised = denoiser(x, level).image
        derivative = noise_from_image(denoised, x, level) - denoised
        difference = next_level.sigma / (next_level.alpha + next_level.sigma) - level.sigma / (level.alpha + level.sigma)
        step = difference.to(x)
        start, scale = x / (current.alpha + current.sigma), following.alpha + following.sigma
        x = scale * (start + step * derivative)
        if next_level.sigma > 0:
            denoised = denoiser(x, next_level).image
            x = scale * (start + 0.5 * step * (derivative + noise_from_image(denoised, x, next_level) - denoised))
    return x


def sample_dpmpp_2m(denoiser: Denoiser, x: Tensor, levels: NoiseLevels, draw: NoiseSource, *, eta: float = 0.0) -> Tensor:
    """Sample with DPM-Solver++(2M), a multistep method of second order (Lu et al. 2022, algorithm 2).

    Calls the denoiser once per step. The first step and a step to sigma 0 are of first order.
    """
    previous, previous_step = x, None
    for level, next_level in pairwise(levels):
        denoised = denoiser(x, level).image
        step = 0.5 * (next_level.log_snr - level.log_snr)
        extrapolated = denoised
        if previous_step is not None and next_level.sigma > 0:
            ratio = (0.5 * step / previous_step).to(x)
            extrapolated = denoised + ratio * (denoised - previous)
        decay = (next_level.sigma / level.sigma).to(x)
        x = decay * x - (next_level.alpha * torch.expm1(-step)).to(x) * extrapolated
        previous, previous_step = denoised, step
    return x


@dataclass(frozen=True)
class Sampler:
    """A sampler: function, spacing of its levels, whether it draws fresh noise even if eta is 0, denoiser calls per step."""

    sample: SamplerFunction
    spacing: Spacing
    stochastic: bool = False
    evaluations: int = 1


SAMPLERS: dict[str, Sampler] = {
    "dpmpp-2m": Sampler(sample_dpmpp_2m, "log-snr"),
    "ddim": Sampler(sample_ddim, "time"),
    "heun": Sampler(sample_heun, "karras", evaluations=2),
    "euler": Sampler(sample_euler, "karras"),
    "ancestral": Sampler(sample_ancestral, "time", stochastic=True),
    "average": Sampler(sample_average, "time"),
}


def no_noise() -> Tensor:
    """Raise RuntimeError: the noise source for deterministic samplers, which must not call it."""
    raise RuntimeError("a deterministic sampler requested noise, which is an error in the sampler")


def _standard_deviation(output: DenoiserOutput, level: NoiseLevels, next_level: NoiseLevels, x: Tensor) -> Tensor:
    if output.variance_interpolation is None:
        return posterior_variance(level, next_level).sqrt().to(x)
    return torch.exp(0.5 * learned_log_variance(output.variance_interpolation, level, next_level))


def classifier_free_guidance(conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
    """Return unconditional + guidance_scale * (conditional - unconditional) (Ho & Salimans 2022), of images or of noise.

    A scale of 1 gives the conditional prediction, 0 the unconditional one. The paper's w is guidance_scale - 1 (eq. 6).
    """
    return unconditional + guidance_scale * (conditional - unconditional)


def inpainting_denoiser(denoiser: Denoiser, images: Tensor, known: Tensor) -> Denoiser:
    """Return a denoiser that predicts the given images [b ...] at known pixels, for inpainting ( Song et al. 2021, appendix I.2).

    known: 1 for known and 0 for missing pixels, broadcast against images. The paper replaces the noisy pixels by the known ones
    with fresh noise; replacing the prediction works with every sampler and keeps deterministic ones deterministic. In both cases
    known pixels influence others through the network only: results are plausible, but not samples from the exact posterior.
    """

    def denoise(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
        output = denoiser(noisy, level)
        return DenoiserOutput(known * images + (1 - known) * output.image, output.variance_interpolation)

    return denoise

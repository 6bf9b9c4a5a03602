"""The density of the distribution that a deterministic sampler generates (Song et al. 2021, appendix D.2).

The probability flow ODE maps images to noise one to one: the log density of an image is that of its noise plus the integral of
the divergence along the path, which is estimated with random probes (Hutchinson's trace estimator).
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels
from simulacra.diffusion.parameterizations import noise_from_image
from simulacra.diffusion.samplers import Denoiser


def flow_log_density(denoiser: Denoiser, noisy: Tensor, levels: NoiseLevels, probes: int) -> Tensor:
    """Return the log density [b] in nats of `noisy` [b ...] at the first of the levels, which lead from image to noise.

    The distribution at the last level is N(0, alpha^2 + sigma^2), with which sampling starts. Position and density are integrated
    by Heun's method in the coordinates of `samplers.sample_heun`. The divergence is a mean over `probes` Rademacher probes, drawn
    from torch's global generator and constant along the path (Grathwohl et al. 2019, eq. 7); it is exact if the denoiser treats
    pixels independently. Raises ValueError if `probes` is less than 1.
    """
    if probes < 1:
        raise ValueError(f"probes is {probes}, expected at least 1")
    signs = [torch.randint(0, 2, noisy.shape, device=noisy.device).to(noisy.dtype) * 2 - 1 for _ in range(probes)]
    position = noisy / _scale(levels[0])
    integral = torch.zeros(len(noisy), dtype=torch.float64, device=noisy.device)
    for level, next_level in pairwise(levels):
        step = float(next_level.sigma) / _scale(next_level) - float(level.sigma) / _scale(level)
        derivative, divergence = _derivative(denoiser, position, level, signs)
        next_derivative, next_divergence = _derivative(denoiser, position + step * derivative, next_level, signs)
        position = position + 0.5 * step * (derivative + next_derivative)
        integral += 0.5 * step * (divergence + next_divergence)
    variance = float(levels[-1].alpha ** 2 + levels[-1].sigma ** 2)
    latents = (_scale(levels[-1]) * position).flatten(1).double()
    prior = -0.5 * (latents**2 / variance + math.log(2 * math.pi * variance)).sum(1)
    change_of_scale = latents.shape[1] * (math.log(_scale(levels[-1])) - math.log(_scale(levels[0])))
    return prior + integral + change_of_scale


def _derivative(denoiser: Denoiser, position: Tensor, level: NoiseLevels, signs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the derivative noise - image at a position noisy / (alpha + sigma), and its divergence [b] in float64."""
    with torch.inference_mode(False), torch.enable_grad():
        point = position.clone().requires_grad_()
        noisy = _scale(level) * point
        image = denoiser(noisy, level).image
        derivative = noise_from_image(image, noisy, level) - image
        products = [torch.autograd.grad(derivative, point, sign.clone(), retain_graph=True)[0] for sign in signs]
    traces = [(product * sign).flatten(1).double().sum(1) for product, sign in zip(products, signs, strict=True)]
    return derivative.detach(), torch.stack(traces).mean(0)


def _scale(level: NoiseLevels) -> float:
    return float(level.alpha + level.sigma)

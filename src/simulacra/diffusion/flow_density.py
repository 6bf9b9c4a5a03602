"""The exact density of what a deterministic sampler makes, by the change of variables along the flow.

Song et al. 2021, appendix D.2. The flow carries images to noise one to one. Its density at an image is that of the noise it is
carried to, times how much the flow squeezes space on the way: the integral of its divergence, which is estimated along random
directions (Hutchinson).
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level
from simulacra.diffusion.parameterizations import noise_of
from simulacra.diffusion.samplers import Denoiser


def log_density(denoise: Denoiser, noisy: Tensor, levels: Level, probes: int) -> Tensor:
    """Return the log density [b], in nats, of `noisy` [b ...] at the first of the levels, which lead from image to noise.

    At the last level values are taken as N(0, alpha^2 + sigma^2), which sampling begins with. Heun's method in the coordinates of
    `samplers.heun`, for values and density alike; the divergence is the mean over `probes` random directions of signs, drawn from
    torch's global generator, the same along the whole way (Grathwohl et al. 2019, eq. 7): exact where pixels do not act on each
    other. Raises ValueError for fewer probes than one.
    """
    if probes < 1:
        raise ValueError(f"probes is {probes}, expected at least 1")
    signs = [torch.randint(0, 2, noisy.shape, device=noisy.device).to(noisy.dtype) * 2 - 1 for _ in range(probes)]
    place, squeezed = noisy / _total(levels[0]), torch.zeros(len(noisy), dtype=torch.float64, device=noisy.device)
    for here, there in pairwise(levels):
        step = float(there.sigma) / _total(there) - float(here.sigma) / _total(here)
        direction, divergence = _direction(denoise, place, here, signs)
        ahead, further = _direction(denoise, place + step * direction, there, signs)
        place = place + 0.5 * step * (direction + ahead)
        squeezed += 0.5 * step * (divergence + further)
    spread = float(levels[-1].alpha ** 2 + levels[-1].sigma ** 2)
    end = (_total(levels[-1]) * place).flatten(1).double()
    base = -0.5 * (end**2 / spread + math.log(2 * math.pi * spread)).sum(1)
    stretched = end.shape[1] * (math.log(_total(levels[-1])) - math.log(_total(levels[0])))
    return base + squeezed + stretched


def _direction(denoise: Denoiser, place: Tensor, level: Level, signs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the flow's direction, noise - image, at a place noisy / (alpha + sigma), and its divergence [b], float64."""
    with torch.inference_mode(False), torch.enable_grad():
        point = place.clone().requires_grad_()
        noisy = _total(level) * point
        image = denoise(noisy, level).image
        direction = noise_of(image, noisy, level) - image
        slopes = [torch.autograd.grad(direction, point, sign.clone(), retain_graph=True)[0] for sign in signs]
    parts = [(slope * sign).flatten(1).double().sum(1) for slope, sign in zip(slopes, signs, strict=True)]
    return direction.detach(), torch.stack(parts).mean(0)


def _total(level: Level) -> float:
    return float(level.alpha + level.sigma)

"""Samplers: from noise to images along a row of noise levels, as pure functions of a denoiser.

A denoiser estimates the image in a noisy one. Deterministic samplers solve the probability-flow equation (Song et al. 2021,
eq. 13), whose solutions carry noise to images one to one; they run along the levels in either direction, so that they also find
the noise of an image. Random ones draw what they need from `draw`, and from nowhere else.

Levels may end with the image itself (sigma 0): the last step then goes straight to the estimate. They may also begin without any
image (alpha 0), as flow matching does. Where a denoiser is called, its level has noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level, over
from simulacra.diffusion.parameterizations import noise_of
from simulacra.diffusion.schedules import Spacing
from simulacra.diffusion.variances import learned_log_variance, posterior_variance


@dataclass(frozen=True)
class Estimate:
    """What a denoiser says of noisy images: the image [b ...], and the learned share of the variance [b ...] if there is one."""

    image: Tensor
    share: Tensor | None = None


Denoiser = Callable[[Tensor, Level], Estimate]
"""From noisy images [b ...] at one level (scalars) to an estimate."""

Draw = Callable[[], Tensor]
"""Returns standard normal noise of the shape of the images, fresh at each call."""


class Walk(Protocol):
    """From noisy images at the first of the levels to images at the last of them."""

    def __call__(self, denoise: Denoiser, noisy: Tensor, levels: Level, draw: Draw, *, eta: float = 0.0) -> Tensor:
        """Return images at the last level; `eta` is the share of fresh noise, for samplers that take one."""


def ancestral(denoise: Denoiser, noisy: Tensor, levels: Level, draw: Draw, *, eta: float = 0.0) -> Tensor:
    """Draw each level from its distribution given the one before and the estimated image (Ho et al. 2020, algorithm 2).

    Mean and variance are those between the two levels at hand, whichever were left out between them (trap 12). The variance is
    the posterior's (their beta tilde), or the learned one (Nichol & Dhariwal 2021, eq. 15).
    """
    for here, there in pairwise(levels):
        estimate = denoise(noisy, here)
        mean = posterior_mean(estimate.image, noisy, here, there)
        noisy = mean if there.sigma == 0 else mean + _deviation(estimate, here, there, noisy) * draw()
    return noisy


def posterior_mean(images: Tensor, noisy: Tensor, here: Level, there: Level) -> Tensor:
    """Return the mean of `there` given `here` and the image (Ho et al. 2020, eq. 7, for levels however far apart), [] or [b]."""
    known = there.sigma**2 / here.sigma**2 * here.alpha / there.alpha
    return over(known, noisy) * noisy + over(there.alpha - here.alpha * known, noisy) * images


def ddim(denoise: Denoiser, noisy: Tensor, levels: Level, draw: Draw, *, eta: float = 0.0) -> Tensor:
    """Go to the next level with the noise that was found, eta of it fresh (Song et al. 2020, eq. 12 and 16).

    eta 0 is deterministic, and then the exact solution for a constant estimate of the image; eta 1 is `ancestral`.
    """
    for here, there in pairwise(levels):
        image = denoise(noisy, here).image
        fresh = eta**2 * posterior_variance(here, there) if eta else torch.zeros_like(there.sigma)
        kept = (there.sigma**2 - fresh).sqrt().to(noisy)
        noisy = there.of(noisy).alpha * image + kept * noise_of(image, noisy, here)
        if fresh > 0:
            noisy = noisy + fresh.sqrt().to(noisy) * draw()
    return noisy


def euler(denoise: Denoiser, noisy: Tensor, levels: Level, draw: Draw, *, eta: float = 0.0) -> Tensor:
    """Follow the flow's direction at each level up to the next: Euler's method, of first order.

    The direction is that of noisy / alpha over sigma / alpha (Karras et al. 2022, eq. 4). In these coordinates, and in all that
    are proportional to them, a step of Euler's is one of DDIM's with eta 0; the two differ by the levels they are used with.
    """
    return ddim(denoise, noisy, levels, draw)


def heun(denoise: Denoiser, noisy: Tensor, levels: Level, draw: Draw, *, eta: float = 0.0) -> Tensor:
    """Follow the mean of the directions at both ends of a step (Karras et al. 2022, algorithm 1 without churn): second order.

    Two evaluations a step, one in the step to the image itself. The coordinates are noisy / (alpha + sigma) over
    sigma / (alpha + sigma), where every path is a straight one and the direction is noise - image: those of Karras et al. have no
    beginning where alpha is 0.
    """
    for here, there in pairwise(levels):
        at, ahead = here.of(noisy), there.of(noisy)
        image = denoise(noisy, here).image
        direction = noise_of(image, noisy, here) - image
        share = there.sigma / (there.alpha + there.sigma) - here.sigma / (here.alpha + here.sigma)
        step = share.to(noisy)
        start, total = noisy / (at.alpha + at.sigma), ahead.alpha + ahead.sigma
        noisy = total * (start + step * direction)
        if there.sigma > 0:
            image = denoise(noisy, there).image
            noisy = total * (start + 0.5 * step * (direction + noise_of(image, noisy, there) - image))
    return noisy


def sample_dpmpp_2m(denoise: Denoiser, noisy: Tensor, levels: Level, draw: Draw, *, eta: float = 0.0) -> Tensor:
    """Solve for an estimate that is linear in the log SNR, by two levels: DPM-Solver++(2M) (Lu et al. 2022, algorithm 2).

    Second order with one evaluation a step. The first step, and one to the image itself, take the estimate as constant.
    """
    before, width_before = noisy, None
    for here, there in pairwise(levels):
        image = denoise(noisy, here).image
        width = 0.5 * (there.log_snr - here.log_snr)
        straightened = image
        if width_before is not None and there.sigma > 0:
            share = (0.5 * width / width_before).to(noisy)
            straightened = image + share * (image - before)
        ratio = (there.sigma / here.sigma).to(noisy)
        noisy = ratio * noisy - (there.alpha * torch.expm1(-width)).to(noisy) * straightened
        before, width_before = image, width
    return noisy


@dataclass(frozen=True)
class Sampler:
    """A walk with the grid it is used on. random: whether it draws noise beyond that which it begins with, even with eta 0."""

    walk: Walk
    spacing: Spacing
    random: bool = False
    evaluations: int = 1
    """Of the denoiser, in a step."""


SAMPLERS: dict[str, Sampler] = {
    "dpmpp-2m": Sampler(sample_dpmpp_2m, "log-snr"),
    "ddim": Sampler(ddim, "time"),
    "heun": Sampler(heun, "karras", evaluations=2),
    "euler": Sampler(euler, "karras"),
    "ancestral": Sampler(ancestral, "time", random=True),
}


def nothing() -> Tensor:
    """Raise RuntimeError: what a deterministic walk has for `draw`."""
    raise RuntimeError("a deterministic sampler asked for noise: this is a mistake in the sampler")


def _deviation(estimate: Estimate, here: Level, there: Level, noisy: Tensor) -> Tensor:
    if estimate.share is None:
        return posterior_variance(here, there).sqrt().to(noisy)
    return torch.exp(0.5 * learned_log_variance(estimate.share, here, there))

"""Parameterizations: what a network's output means.

All of them are linear, so that each is a pair of factors:

    image = skip * noisy + scale * output

They are equal where the factors are exact; they differ in how the network's errors weigh at each level, and in which of them an
untrained network, whose output is zero, begins.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import Level

_DATA_STD = 0.5  # standard deviation of images in [-1, 1] (Karras et al. 2022, table 1)


@dataclass(frozen=True)
class Factors:
    """How an image is made of a noisy one and of a network's output, for levels of any shape.

    The network's target is (image - skip * noisy) / scale.
    """

    skip: Tensor
    scale: Tensor


Parameterization = Callable[[Level], Factors]


def noise(level: Level) -> Factors:
    """Return the factors where the output is the noise: image = (noisy - sigma * output) / alpha (Ho et al. 2020, eq. 15)."""
    return Factors(1 / level.alpha, -level.sigma / level.alpha)


def image(level: Level) -> Factors:
    """Return the factors where the output is the image (Ho et al. 2020, section 3.2)."""
    return Factors(torch.zeros_like(level.alpha), torch.ones_like(level.alpha))


def v(level: Level) -> Factors:
    """Return the factors where the output is alpha * noise - sigma * image (Salimans & Ho 2022, section 4 and appendix D).

    image = (alpha * noisy - sigma * output) / (alpha^2 + sigma^2), whose divisor is 1 on variance-preserving paths.
    """
    total = level.alpha**2 + level.sigma**2
    return Factors(level.alpha / total, -level.sigma / total)


def velocity(level: Level) -> Factors:
    """Return the factors where the output is noise - image, the straight path's velocity (Lipman et al. 2022, eq. 23)."""
    total = level.alpha + level.sigma
    return Factors(1 / total, -level.sigma / total)


def edm(level: Level) -> Factors:
    """Return the factors that give the output's target unit variance (Karras et al. 2022, eq. 7 and table 1).

    Theirs is for alpha = 1; at other levels it is applied to noisy / alpha, whose noise has the standard deviation sigma / alpha.
    """
    variance = (_DATA_STD * level.alpha) ** 2 + level.sigma**2
    return Factors(_DATA_STD**2 * level.alpha / variance, _DATA_STD * level.sigma / variance.sqrt())


def input_scale(level: Level) -> Tensor:
    """Return the factor that gives noisy images unit variance, c_in / alpha of Karras et al. (2022, table 1)."""
    return 1 / ((_DATA_STD * level.alpha) ** 2 + level.sigma**2).sqrt()


PARAMETERIZATIONS: dict[str, Parameterization] = {"noise": noise, "image": image, "v": v, "velocity": velocity, "edm": edm}


def image_of(output: Tensor, noisy: Tensor, level: Level, kind: Parameterization) -> Tensor:
    """Return the image that an output means, both [b ...], at one level for all or one for each."""
    factors = kind(level.of(noisy))
    return factors.skip * noisy + factors.scale * output


def output_of(images: Tensor, noisy: Tensor, level: Level, kind: Parameterization) -> Tensor:
    """Return the output that means these images: what a network is trained towards."""
    factors = kind(level.of(noisy))
    return (images - factors.skip * noisy) / factors.scale


def noise_of(images: Tensor, noisy: Tensor, level: Level) -> Tensor:
    """Return the noise of noisy images whose images are known: (noisy - alpha * image) / sigma."""
    at = level.of(noisy)
    return (noisy - at.alpha * images) / at.sigma

"""Parameterizations: the quantity that the network predicts, linear with two coefficients per level (Karras et al. 2022, eq. 7).

    image = c_skip * noisy + c_out * output

They differ in the weight of the network's errors at each level, and in the image that an output of zero gives.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels

_DATA_STD = 0.5  # standard deviation of images in [-1, 1] (Karras et al. 2022, table 1)


@dataclass(frozen=True)
class Coefficients:
    """Coefficients in image = c_skip * noisy + c_out * output, of the shape of the noise levels."""

    c_skip: Tensor
    c_out: Tensor


Parameterization = Callable[[NoiseLevels], Coefficients]


def noise(level: NoiseLevels) -> Coefficients:
    """Return the coefficients for noise prediction: image = (noisy - sigma * output) / alpha (Ho et al. 2020, eq. 15)."""
    return Coefficients(1 / level.alpha, -level.sigma / level.alpha)


def image(level: NoiseLevels) -> Coefficients:
    """Return the coefficients for image prediction (Ho et al. 2020, section 3.2)."""
    return Coefficients(torch.zeros_like(level.alpha), torch.ones_like(level.alpha))


def v(level: NoiseLevels) -> Coefficients:
    """Return the coefficients for v-prediction.

    v = alpha * noise - sigma * image (Salimans & Ho 2022, section 4 and appendix D), so that
    image = (alpha * noisy - sigma * output) / (alpha^2 + sigma^2); the divisor is 1 on variance-preserving paths.
    """
    total = level.alpha**2 + level.sigma**2
    return Coefficients(level.alpha / total, -level.sigma / total)


def velocity(level: NoiseLevels) -> Coefficients:
    """Return the coefficients for velocity prediction: output = noise - image (Lipman et al. 2022, eq. 23)."""
    total = level.alpha + level.sigma
    return Coefficients(1 / total, -level.sigma / total)


def edm(level: NoiseLevels) -> Coefficients:
    """Return the coefficients for which the network's target has unit variance (Karras et al. 2022, eq. 7 and table 1).

    The paper's alpha is 1; for other paths they apply to noisy / alpha, whose noise has the standard deviation sigma / alpha.
    """
    variance = (_DATA_STD * level.alpha) ** 2 + level.sigma**2
    return Coefficients(_DATA_STD**2 * level.alpha / variance, _DATA_STD * level.sigma / variance.sqrt())


def input_scale(level: NoiseLevels) -> Tensor:
    """Return the factor that gives noisy images unit variance: c_in / alpha of Karras et al. (2022, table 1)."""
    return 1 / ((_DATA_STD * level.alpha) ** 2 + level.sigma**2).sqrt()


PARAMETERIZATIONS: dict[str, Parameterization] = {"noise": noise, "image": image, "v": v, "velocity": velocity, "edm": edm}


def image_from_output(output: Tensor, noisy: Tensor, level: NoiseLevels, parameterization: Parameterization) -> Tensor:
    """Return the predicted images [b ...] of an output [b ...], at one level or one level per image."""
    coefficients = parameterization(level.broadcast_to(noisy))
    return coefficients.c_skip * noisy + coefficients.c_out * output


def training_target(images: Tensor, noisy: Tensor, level: NoiseLevels, parameterization: Parameterization) -> Tensor:
    """Return the network's target [b ...]: the output for which the predicted images equal `images`."""
    coefficients = parameterization(level.broadcast_to(noisy))
    return (images - coefficients.c_skip * noisy) / coefficients.c_out


def noise_from_image(images: Tensor, noisy: Tensor, level: NoiseLevels) -> Tensor:
    """Return the noise in noisy images, given the images: (noisy - alpha * images) / sigma."""
    factors = level.broadcast_to(noisy)
    return (noisy - factors.alpha * images) / factors.sigma

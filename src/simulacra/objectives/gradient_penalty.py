"""Penalties on the slope of a discriminator with respect to images: differentiable twice, in float32 also under autocast.

The slope is taken image by image, so that no discriminator here may mix the images of a batch: no batch norm.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Judge = Callable[[Tensor], Tensor]  # from images [b c h w] to logits [b]

_EPSILON = 1e-12  # under the root, whose derivative at zero is infinite


def squared_slopes(judge: Judge, images: Tensor) -> Tensor:
    """Return the squared Euclidean norm [b] of the gradient of each image's logit along that image [b c h w]."""
    points = images.detach().requires_grad_()
    with torch.enable_grad(), torch.autocast(points.device.type, enabled=False):
        (gradients,) = torch.autograd.grad(judge(points).sum(), points, create_graph=True)
    return (gradients**2).flatten(1).sum(1)


def gradient_penalty(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean over images of (slope - 1)^2 between real and fake images [b c h w] (Gulrajani et al. 2017, eq. 3).

    The slope is measured at one point for each pair, uniformly on the line between the two.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    points = share * real.detach() + (1 - share) * fake.detach()
    return ((torch.sqrt(squared_slopes(judge, points) + _EPSILON) - 1) ** 2).mean()


def zero_centered_penalty(judge: Judge, images: Tensor) -> Tensor:
    """Return half the mean over images [b c h w] of the squared slope (Mescheder et al. 2018).

    At real images this is R1 (their eq. 9), at generated ones R2 (eq. 10), both without the factor gamma.
    """
    return 0.5 * squared_slopes(judge, images).mean()

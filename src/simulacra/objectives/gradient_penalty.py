"""Gradient penalties for discriminators: twice differentiable, in float32 even under autocast.

Gradients are taken per image, so a discriminator must not mix the images of a batch (no batch norm).
"""

from collections.abc import Callable

import torch
from torch import Tensor

LogitFunction = Callable[[Tensor], Tensor]
"""A discriminator: from images [b c h w] to logits [b]."""

_EPSILON = 1e-12  # under the square root, whose derivative is infinite at zero


def squared_gradient_norms(discriminator: LogitFunction, images: Tensor) -> Tensor:
    """Return the squared Euclidean norm [b] of the gradient of each image's logit with respect to that image [b c h w]."""
    points = images.detach().requires_grad_()
    with torch.enable_grad(), torch.autocast(points.device.type, enabled=False):
        (gradients,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    return (gradients**2).flatten(1).sum(1)


def gradient_penalty(critic: LogitFunction, real: Tensor, fake: Tensor) -> Tensor:
    """Return (||gradient|| - 1)^2, a mean over interpolated images (WGAN-GP: Gulrajani et al. 2017, eq. 3).

    Each pair of images [b c h w] gives one point, drawn uniformly from the line between them with torch's global generator.
    """
    weight = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    points = weight * real.detach() + (1 - weight) * fake.detach()
    return ((torch.sqrt(squared_gradient_norms(critic, points) + _EPSILON) - 1) ** 2).mean()


def zero_centered_penalty(discriminator: LogitFunction, images: Tensor) -> Tensor:
    """Return half the squared gradient norm, a mean over images [b c h w] (Mescheder et al. 2018).

    For real images this is R1 (eq. 9), for generated images R2 (eq. 10), both without the factor gamma.
    """
    return 0.5 * squared_gradient_norms(discriminator, images).mean()

"""Traversals of a latent space: images while one latent at a time is varied."""

import torch
from torch import Tensor

from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.runs.latent_space import decode, encode, latent_condition
from simulacra.runs.opened import OpenedRun
from simulacra.runs.test_images import reference_images

STEPS = 11  # images in a row
_IMAGES = 1000  # validation images over which the standard deviation of latents is computed


def traverse(
    opened: OpenedRun, image: Tensor, steps: int = STEPS, reach: float = 3.0, condition: Condition = UNCONDITIONAL
) -> Tensor:
    """Return images [d steps c h w]: in each row one latent takes values from mean - reach to mean + reach standard deviations.

    image: [c h w], whose other latents stay fixed; condition: that of the image, one row. Rows are ordered by the standard
    deviation of their latent over validation images, largest first. Raises NotApplicable, UsageError.
    """
    require(opened.model, AMORTIZED_LATENT_SPACE, "traversal")
    data = reference_images(opened.dataset, _IMAGES)
    latents = encode(opened, data.images, latent_condition(opened, data))
    spread, center = latents.std(0, correction=0), latents.mean(0)
    order = spread.argsort(descending=True)
    rows = encode(opened, image[None], condition).repeat(steps * len(order), 1).unflatten(0, (len(order), steps))
    for row, latent in zip(rows, order.tolist(), strict=True):
        row[:, latent] = center[latent] + spread[latent] * torch.linspace(-reach, reach, steps)
    repeated = condition.map(lambda values: values.repeat_interleave(steps * len(order), 0))
    return decode(opened, rows.flatten(0, 1), repeated).unflatten(0, (len(order), steps))

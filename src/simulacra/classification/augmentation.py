"""Random affine transforms of images that keep their class: the augmentation of the networks that are trained with few labels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_DEGREES = 10.0
_SCALE = 0.1  # logarithm
_SHIFT = 1 / 14  # of a side: 2 of 28 pixels

DESCRIPTION = (
    f"rotation by {_DEGREES:g} degrees, scaling by {100 * _SCALE:g} %, shifts by {100 * _SHIFT:.1f} % of a side, at most"
)


def random_affine(images: Tensor, mirror: bool) -> Tensor:
    """Return images [b c h w] rotated, scaled and shifted at random, each by its own draw, with edge padding.

    Rotations by -10 to 10 degrees, scaling by a factor of exp(-0.1) to exp(0.1), shifts by up to a fourteenth of each side, and
    reflections left to right of every second image, on average, if `mirror`. Draws from torch's global generator.
    """
    count, device = len(images), images.device
    turn, stretch, *shifts = (2 * torch.rand(4, count, device=device) - 1).unbind()
    angle, scale = turn * math.radians(_DEGREES), torch.exp(stretch * _SCALE)
    right, down = (2 * _SHIFT * shift for shift in shifts)  # affine_grid measures half sides
    sign = 1 - 2.0 * (torch.rand(count, device=device) < 0.5) if mirror else torch.ones(count, device=device)
    ratio = images.shape[2] / images.shape[3]
    across = torch.stack([sign * scale * angle.cos(), -scale * angle.sin() * ratio, right], 1)
    along = torch.stack([sign * scale * angle.sin() / ratio, scale * angle.cos(), down], 1)
    with torch.autocast(device.type, enabled=False):  # the grid needs float32
        grid = F.affine_grid(torch.stack([across, along], 1), list(images.shape), align_corners=False)
        return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)

"""Random transforms of images that keep their class: the augmentation of the networks that are trained with few labels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_DEGREES = 10.0
_SCALE = 0.1  # logarithm
_SHIFT = 1 / 14  # of a side: 2 of 28 pixels
_DISPLACEMENT = 0.06  # of a side
_CONTROL_POINTS = 5  # along each side

DESCRIPTION = (
    f"rotation by {_DEGREES:g} degrees, scaling by {100 * _SCALE:g} %, shifts by {100 * _SHIFT:.1f} % of a side, "
    f"elastic displacements by {100 * _DISPLACEMENT:g} %, at most"
)


def random_transform(images: Tensor, mirror: bool) -> Tensor:
    """Return images [b c h w] with a random affine and elastic transform each, by bilinear interpolation with edge padding.

    Rotations by -10 to 10 degrees, scaling by a factor of exp(-0.1) to exp(0.1), shifts by up to a fourteenth of each side, and
    reflections left to right of every second image, on average, if `mirror`. An elastic transform (Simard et al. 2003) moves 5x5
    control points by up to 6 % of each side, and the pixels between them by bicubic interpolation. Draws from torch's global
    generator.
    """
    shape = list(images.shape)
    with torch.autocast(images.device.type, enabled=False):  # the grid needs float32
        transforms = _affine(len(images), images.shape[2] / images.shape[3], mirror, images.device)
        moved = F.affine_grid(torch.eye(2, 3, device=images.device).expand(len(images), 2, 3), shape, align_corners=False)
        moved = moved + _displacements(shape, images.device)
        grid = torch.einsum("bij,bhwj->bhwi", transforms[:, :, :2], moved) + transforms[:, None, None, :, 2]
        return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def _affine(count: int, ratio: float, mirror: bool, device: torch.device) -> Tensor:
    """Return random affine transforms [count 2 3] of coordinates from -1 to 1; ratio: of height to width."""
    turn, stretch, *shifts = (2 * torch.rand(4, count, device=device) - 1).unbind()
    angle, scale = turn * math.radians(_DEGREES), torch.exp(stretch * _SCALE)
    right, down = (2 * _SHIFT * shift for shift in shifts)  # coordinates measure half sides
    sign = 1 - 2.0 * (torch.rand(count, device=device) < 0.5) if mirror else torch.ones(count, device=device)
    across = torch.stack([sign * scale * angle.cos(), -scale * angle.sin() * ratio, right], 1)
    along = torch.stack([sign * scale * angle.sin() / ratio, scale * angle.cos(), down], 1)
    return torch.stack([across, along], 1)


def _displacements(shape: list[int], device: torch.device) -> Tensor:
    """Return smooth random displacements [b h w 2] in coordinates from -1 to 1."""
    points = 2 * _DISPLACEMENT * (2 * torch.rand(shape[0], 2, _CONTROL_POINTS, _CONTROL_POINTS, device=device) - 1)
    return F.interpolate(points, size=shape[2:], mode="bicubic", align_corners=True).movedim(1, 3)

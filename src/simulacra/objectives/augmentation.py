"""Differentiable augmentation of what a discriminator sees, real or generated alike (Zhao et al. 2020, section 3.2).

Drawn for each image, from torch's global generator, on the images' device. The authors' code works on [-1, 1], where zero is
grey; here images are in [0, 1] on entering, so that shifts are halved and grey is 0.5. Values may leave [0, 1].
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from simulacra.core.errors import unknown

_GREY = 0.5  # of what moves in from outside and of what is cut out
_REACH = 1 / 8  # of the side: the largest translation
_HOLE = 1 / 2  # of the side: the square that is cut out


def augment(images: Tensor, names: tuple[str, ...]) -> Tensor:
    """Return images [b c h w] after the named changes, one after the other; gradients pass to the images."""
    for name in names:
        images = AUGMENTATIONS[name](images)
    return images


def parse(text: str) -> tuple[str, ...]:
    """Return the names in a text such as `color,translation`; raises UsageError that suggests the nearest.

    >>> parse("color, cutout"), parse("")
    (('color', 'cutout'), ())
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
    return names


def color(images: Tensor) -> Tensor:
    """Change brightness by up to 0.25, saturation by 0 to 2 and contrast by 0.5 to 1.5 times."""
    images = images + (_uniform(images) - 0.5) / 2
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (2 * _uniform(images)) + grey
    level = images.mean((1, 2, 3), keepdim=True)
    return (images - level) * (_uniform(images) + 0.5) + level


def translation(images: Tensor) -> Tensor:
    """Move by up to an eighth of either side, in whole pixels; what moves in is grey."""
    _, channels, height, width = images.shape
    rows, row_inside = _moved(images, height)
    columns, column_inside = _moved(images, width)
    index = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    moved = images.flatten(2).gather(2, index[:, None].expand(-1, channels, -1)).view(images.shape)
    inside = row_inside[:, None, :, None] & column_inside[:, None, None, :]
    return torch.where(inside, moved, _GREY)


def cutout(images: Tensor) -> Tensor:
    """Turn a square of half either side grey; its center is anywhere in the image."""
    rows, columns = (_covered(images, side) for side in images.shape[2:])
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], _GREY, images)


def _moved(images: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return from which pixel each of a side comes, int64 [b side], and whether that lies inside."""
    reach = int(side * _REACH + 0.5)
    shift = torch.randint(-reach, reach + 1, (len(images), 1), device=images.device)
    source = torch.arange(side, device=images.device) + shift
    return source.clamp(0, side - 1), (source >= 0) & (source < side)


def _covered(images: Tensor, side: int) -> Tensor:
    """Return which pixels of a side the hole covers, bool [b side]."""
    hole = int(side * _HOLE + 0.5)
    center = torch.randint(0, side + (1 - hole % 2), (len(images), 1), device=images.device)
    place = torch.arange(side, device=images.device) - center + hole // 2
    return (place >= 0) & (place < hole)


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


AUGMENTATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"color": color, "translation": translation, "cutout": cutout}

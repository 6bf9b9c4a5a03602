"""Differentiable augmentation of real and generated images for the discriminator (DiffAugment, Zhao et al. 2020, section 3.2).

Each image is augmented independently, with random numbers from torch's global generator on the images' device. The authors' code
works on images in [-1, 1]; here images are in [0, 1], so brightness offsets are halved and grey is 0.5. Results can leave [0, 1].
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from simulacra.core.errors import unknown
from simulacra.core.text import comma_separated

_GREY = 0.5  # value of pixels moved in from outside the image and of pixels cut out
_MAX_TRANSLATION = 1 / 8  # as a fraction of each side
_CUTOUT_SIDE = 1 / 2  # as a fraction of each side


def augment(images: Tensor, names: tuple[str, ...]) -> Tensor:
    """Apply the named augmentations to images [b c h w] in order; gradients pass to the images."""
    for name in names:
        images = AUGMENTATIONS[name](images)
    return images


def parse_augmentations(text: str) -> tuple[str, ...]:
    """Return the augmentation names in a comma-separated text; raises UsageError that suggests the nearest name.

    >>> parse_augmentations("color, cutout"), parse_augmentations("")
    (('color', 'cutout'), ())
    """
    names = comma_separated(text)
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
    return names


def color(images: Tensor) -> Tensor:
    """Change brightness by -0.25 to 0.25, saturation by a factor of 0 to 2 and contrast by a factor of 0.5 to 1.5."""
    images = images + (_uniform(images) - 0.5) / 2
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (2 * _uniform(images)) + grey
    level = images.mean((1, 2, 3), keepdim=True)
    return (images - level) * (_uniform(images) + 0.5) + level


def translation(images: Tensor, share: float = _MAX_TRANSLATION, padding: float = _GREY) -> Tensor:
    """Translate by up to a share of each side, in whole pixels, padding with one value: by default an eighth, and grey."""
    _, channels, height, width = images.shape
    rows, row_inside = _translated_axis(images, height, share)
    columns, column_inside = _translated_axis(images, width, share)
    index = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    translated = images.flatten(2).gather(2, index[:, None].expand(-1, channels, -1)).view(images.shape)
    inside = row_inside[:, None, :, None] & column_inside[:, None, None, :]
    return torch.where(inside, translated, padding)


def cutout(images: Tensor) -> Tensor:
    """Set a rectangle of half of each side to grey; its center is uniform over the image."""
    rows, columns = (_cutout_axis(images, side) for side in images.shape[2:])
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], _GREY, images)


def _translated_axis(images: Tensor, side: int, share: float) -> tuple[Tensor, Tensor]:
    """Return the source pixel of each pixel along an axis, int64 [b side], and whether it lies inside the image."""
    largest = int(side * share + 0.5)
    shift = torch.randint(-largest, largest + 1, (len(images), 1), device=images.device)
    source = torch.arange(side, device=images.device) + shift
    return source.clamp(0, side - 1), (source >= 0) & (source < side)


def _cutout_axis(images: Tensor, side: int) -> Tensor:
    """Return which pixels along an axis the rectangle covers, bool [b side]."""
    length = int(side * _CUTOUT_SIDE + 0.5)
    center = torch.randint(0, side + (1 - length % 2), (len(images), 1), device=images.device)
    position = torch.arange(side, device=images.device) - center + length // 2
    return (position >= 0) & (position < length)


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


AUGMENTATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"color": color, "translation": translation, "cutout": cutout}

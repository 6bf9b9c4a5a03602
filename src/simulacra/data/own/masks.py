"""Masks of known pixels: from image files, and for images in memory."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, UsageError

_THRESHOLD = 128  # grey level from which pixels of a mask are known


def known_pixels(path: Path, spec: DataSpec) -> Tensor:
    """Return which pixels are known, bool [h w], from an image file of the model's size: bright pixels; transparent are hidden.

    Raises DataError for an unusable file.
    """
    if not path.is_file():
        raise UsageError(f"--mask {path} is no file: give an image file, or name a part of the image with --degradation")
    try:
        with Image.open(path) as image:
            pixels = _brightness(image)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}): give a PNG file, bright where pixels are known") from None
    if pixels.shape != (spec.height, spec.width):
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise DataError(f"{path} has {size} pixels, expected {spec.width}x{spec.height}, the size of the model's images")
    known = torch.from_numpy(pixels >= _THRESHOLD)
    if known.all():
        raise DataError(f"{path} marks every pixel as known, so that nothing is missing: give a mask with dark pixels")
    return known


def _brightness(image: Image.Image) -> np.ndarray:
    """Return grey levels in 0 to 255 [h w]: 0 where an image is transparent, 16 bits reduced to 8."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.int64) >> 8
    pixels = np.asarray(image.convert("RGBA").convert("LA")).astype(np.float64)
    return pixels[..., 0] * pixels[..., 1] / 255


def masks_of(known: Tensor, images: Tensor) -> Tensor:
    """Return masks bool [1 1 h w] or [n 1 h w]; raises UsageError for another shape or type."""
    shapes = (images.shape[2:], (len(images), *images.shape[2:]))
    if known.dtype != torch.bool or tuple(known.shape) not in map(tuple, shapes):
        raise UsageError(
            f"known is {known.dtype} {tuple(known.shape)}, expected torch.bool {' or '.join(str(tuple(item)) for item in shapes)}"
        )
    return known.reshape(-1, 1, *images.shape[2:])

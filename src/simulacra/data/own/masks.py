"""Masks of known pixels: from image files, and for images in memory."""

from pathlib import Path

import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, UsageError
from simulacra.core.home import expand_home
from simulacra.data.formats.archives import Folder
from simulacra.data.formats.fitting import fit
from simulacra.data.formats.pixels import decode, opacity
from simulacra.data.formats.refused import Refused

_THRESHOLD = 128  # grey level from which pixels of a mask are known


def known_pixels(path: Path, spec: DataSpec) -> Tensor:
    """Return which pixels are known, bool [h w], from an image file of the model's size: bright pixels; transparent are hidden.

    Raises DataError for an unusable file.
    """
    path = expand_home(path)
    if not path.is_file():
        raise UsageError(f"--mask {path} is no file: give an image file, or name a part of the image with --degradation")
    try:
        content = Folder(path.parent).read(path.name)
        pixels, alpha = fit(decode(content), None, 1)[..., 0], opacity(content)
    except Refused as refusal:
        remedy = "give a PNG file, bright where pixels are known"
        raise DataError(f"{path} cannot be read as an image ({refusal}): {remedy}") from refusal
    if pixels.shape != (spec.height, spec.width):
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise DataError(f"{path} has {size} pixels, expected {spec.width}x{spec.height}, the size of the model's images")
    known = torch.from_numpy((pixels >= _THRESHOLD) & (alpha is None or alpha[..., 0] >= _THRESHOLD))
    if known.all():
        raise DataError(f"{path} marks every pixel as known, so that nothing is missing: give a mask with dark pixels")
    if not known.any():
        seen = f"{path} marks no pixel as known, its brightest has {pixels.max()} of 255"
        raise DataError(f"{seen}: give a mask in which known pixels have at least {_THRESHOLD}")
    return known


def masks_of(known: Tensor, images: Tensor) -> Tensor:
    """Return masks bool [1 1 h w] or [n 1 h w]; raises UsageError for another shape or type."""
    shapes = (images.shape[2:], (len(images), *images.shape[2:]))
    if known.dtype != torch.bool or tuple(known.shape) not in map(tuple, shapes):
        raise UsageError(
            f"known is {known.dtype} {tuple(known.shape)}, expected torch.bool {' or '.join(str(tuple(item)) for item in shapes)}"
        )
    return known.reshape(-1, 1, *images.shape[2:])

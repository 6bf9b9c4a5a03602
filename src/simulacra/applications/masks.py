"""Masks: which pixels of an image are known, by name or from a picture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, unknown

_HALF_GREY = 128  # pixels of a mask that are brighter are known

Shares = tuple[Tensor, Tensor]  # places of pixels, down [h 1] and to the right [1 w], in (0, 1)

NAMED: dict[str, Callable[[Shares], Tensor]] = {
    "left": lambda at: (at[1] >= 0.5) & (at[0] >= 0),
    "right": lambda at: (at[1] < 0.5) & (at[0] >= 0),
    "top": lambda at: (at[0] >= 0.5) & (at[1] >= 0),
    "bottom": lambda at: (at[0] < 0.5) & (at[1] >= 0),
    "centre": lambda at: ((at[0] - 0.5).abs() >= 0.25) | ((at[1] - 0.5).abs() >= 0.25),
}
"""Masks by what is missing: half of the image, or its middle, a quarter of its area."""


def known_of(mask: str, spec: DataSpec) -> Tensor:
    """Return which pixels are known: bool [h w].

    mask: a name of NAMED, or the path of a picture whose bright pixels are known, of the size of the images.
    Raises UsageError for an unknown name, DataError for a picture that cannot be used.
    """
    if mask in NAMED:
        rows, columns = ((torch.arange(side) + 0.5) / side for side in (spec.height, spec.width))
        return NAMED[mask]((rows[:, None], columns[None]))
    path = Path(mask)
    if not path.is_file():
        raise unknown("mask", mask, [*NAMED, "a picture file"])
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} is not a picture that can be read ({error}): give a PNG, bright where known") from None
    if pixels.shape != (spec.height, spec.width):
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise DataError(f"{path} has {size} pixels, expected {spec.width}x{spec.height}, which images have")
    return torch.from_numpy(pixels >= _HALF_GREY)

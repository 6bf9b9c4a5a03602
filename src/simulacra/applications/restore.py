"""Fill in missing pixels of test images, with a model that generates images.

--mask names the missing part (left, right, top, bottom or centre), or an image file of the model's size that is bright where
pixels are known. Each test image is displayed above its known part and above several restorations.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Restores, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import Config, option
from simulacra.core.errors import DataError, UsageError, unknown
from simulacra.core.progress import Progress
from simulacra.core.randomness import noise
from simulacra.images.files import check_png, save_png
from simulacra.images.grid import grid_of_rows
from simulacra.runs.opened import OpenedRun, check_images
from simulacra.runs.test_images import choose_images

_COUNT = 8  # images by default
_UNKNOWN = 0.5  # grey of missing pixels
_THRESHOLD = 128  # grey level from which pixels of a mask are known

MASKS = ("left", "right", "top", "bottom", "centre")
"""Names of masks by the missing part: half of the image, or its centre, a quarter of its area."""


def known_pixels(mask: str, spec: DataSpec) -> Tensor:
    """Return which pixels are known: bool [h w].

    mask: a name of MASKS, or the path of an image file of the model's size, in which bright pixels are known; transparent pixels
    are missing. Raises UsageError for an unknown name, DataError for an unusable file.
    """
    if mask in MASKS:
        sides = [(torch.arange(side) + 0.5) / side for side in (spec.height, spec.width)]
        down, right = torch.meshgrid(*sides, indexing="ij")
        centre = ((down - 0.5).abs() < 0.25) & ((right - 0.5).abs() < 0.25)
        return ~dict(zip(MASKS, (right < 0.5, right >= 0.5, down < 0.5, down >= 0.5, centre), strict=True))[mask]
    path = Path(mask)
    if not path.is_file():
        raise unknown("mask", mask, [*MASKS, "an image file"])
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


@dataclass(frozen=True)
class RestoreConfig(Config):
    """Settings of a restoration."""

    mask: str = option("", "the missing part (left, right, top, bottom, centre), or an image file; required")
    count: int = option(0, f"number of test images; 0: {_COUNT}, or all where there are fewer", low=0)
    draws: int = option(3, "number of restorations of each image", low=1)
    seed: int = option(0, "seed of the choice of images and of the noise", low=0)
    out: str = option("", "a .png file (default: RUN/images/restorations.png)")


def restore(opened: OpenedRun, images: Tensor, known: Tensor, seed: int = 0, condition: Condition = UNCONDITIONAL) -> Tensor:
    """Return images [n c h w] in [0, 1] whose pixels are generated where `known`, bool [h w], is False.

    Image k of a seed does not depend on the other images. Raises NotApplicable, UsageError for other shapes.
    """
    model = require(opened.model, Restores, "restoration")
    if known.shape != images.shape[2:] or known.dtype != torch.bool:
        raise UsageError(f"known is {known.dtype} {tuple(known.shape)}, expected bool {tuple(images.shape[2:])}")
    check_images(images, opened.spec)
    here = known.float().expand(len(images), 1, -1, -1)
    return opened.apply(model.restore, images, here, noise(seed, 0, len(images), model.noise_shape), condition=condition)


def _run(opened: OpenedRun, settings: RestoreConfig, progress: Progress) -> ApplicationResult:
    path = check_png(opened.run.output(settings.out, "restorations.png"))
    if not settings.mask:
        raise UsageError(f"no --mask: name the missing part ({', '.join(MASKS)}), or give an image file")
    known = known_pixels(settings.mask, opened.spec)
    images = choose_images(opened.dataset.test, settings.count, settings.seed, _COUNT).images
    masked = torch.where(known, images, torch.full_like(images, _UNKNOWN))
    restored = [restore(opened, images, known, settings.seed + draw) for draw in range(settings.draws)]
    save_png(grid_of_rows([images, masked, *restored], len(images)), path)
    content = {"path": str(path), "mask": settings.mask, "count": len(images), "draws": settings.draws, "seed": settings.seed}
    text = f"{len(images)} test images, their known parts, and {settings.draws} restorations, in {path}"
    return ApplicationResult(content, text)


APPLICATION = Application(
    name="restore",
    description=__doc__,
    settings=RestoreConfig,
    needs=(Restores,),
    run=_run,
    examples=(
        "simulacra restore runs/diffusion --mask bottom",
        "simulacra restore runs/diffusion --mask hole.png --draws 5 --count 12",
    ),
)

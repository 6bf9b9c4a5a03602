"""Baseline for localisation: distance of each patch of 8x8 pixels to the nearest patch of training images. It uses no model.

The value of a pixel is the mean distance of the patches that cover it, and that of an image its largest distance, as in methods
that compare patches in the features of a pretrained network (Roth et al. 2022), here with the pixels as features.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from simulacra.anomaly.neighbours import Neighbours
from simulacra.anomaly.score import Score, Scored, Scorer
from simulacra.anomaly.training_images import first_images
from simulacra.core.progress import Progress
from simulacra.core.randomness import permutation
from simulacra.runs.opened import OpenedRun

_SIDE, _STRIDE = 8, 4  # pixels of a patch, and between patches of a scored image
_BANK = 10_000  # patches of training images, chosen at random
_IMAGES, _PER_IMAGE = 2000, 5


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    height, width = opened.spec.height, opened.spec.width
    side = min(_SIDE, height, width)
    neighbours = Neighbours(_bank(first_images(opened, _IMAGES), side), 1)

    def scored(images: Tensor) -> Scored:
        padding = [_padding(size, side) for size in (width, height)]
        padded = F.pad(images, (0, padding[0], 0, padding[1]), mode="replicate")
        patches = F.unfold(padded, side, stride=_STRIDE)  # [n c*side*side, places]
        distances = neighbours.distances(patches.transpose(1, 2).flatten(0, 1))[0].view(len(images), 1, -1).float()
        covering = distances.expand(-1, side * side, -1)
        size = tuple(padded.shape[2:])
        total, count = (F.fold(item, size, side, stride=_STRIDE) for item in (covering, torch.ones_like(covering)))
        return Scored(distances.flatten(1).max(1).values.double(), (total / count)[:, 0, :height, :width])

    return scored


def _padding(size: int, side: int) -> int:
    """Return the pixels to add so that patches at every stride cover all pixels."""
    return -(size - side) % _STRIDE


def _bank(images: Tensor, side: int) -> Tensor:
    """Return random patches [n c*side*side] of training images: `_BANK` of them, or five of each image where that is less."""
    chosen = []
    for number, image in enumerate(images):
        patches = F.unfold(image[None], side)[0].T
        rows = np.sort(permutation(len(patches), 0, "patches", number)[:_PER_IMAGE])
        chosen.append(patches[torch.from_numpy(rows)])
    return torch.cat(chosen)[:_BANK]


SCORE = Score(
    "patches",
    f"baseline for localisation: distance of patches of {_SIDE}x{_SIDE} pixels to the nearest patch of training images",
    _fit,
    settings={"side": _SIDE, "stride": _STRIDE, "patches": _BANK},
    maps=True,
)

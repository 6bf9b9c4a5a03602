"""Pictures of what a model does with the images of the test set, and of the ways between images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from simulacra.applications.masks import known_of
from simulacra.applications.translate import Journey
from simulacra.core.capabilities import LatentSpace, Samples
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.randomness import permutation
from simulacra.data.dataset import Split

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun


_UNKNOWN = 0.5  # grey of pixels that are not known


def test_images(trained: "OpenedRun", count: int, seed: int) -> Tensor:
    """Return `count` images [n c h w] of the test set, chosen by the seed."""
    return _chosen(trained.dataset.test, count, seed)


def restorations(trained: "OpenedRun", mask: str, count: int, draws: int, seed: int) -> list[Tensor]:
    """Return rows of `count` images: test images chosen by the seed, what a mask leaves known of them, and `draws` fillings.

    mask: a name or a picture (see `restoration.known_of`). Raises UsageError, NotApplicable.
    """
    images = test_images(trained, count, seed)
    known = known_of(mask, trained.spec)
    if draws < 1:
        raise UsageError(f"draws is {draws}, expected at least 1")
    seen = torch.where(known, images, torch.full_like(images, _UNKNOWN))
    return [images, seen, *(trained.restore(images, known, seed + draw) for draw in range(draws))]


def journey(trained: "OpenedRun", to: str, count: int, seed: int) -> Journey:
    """Return `count` test images, chosen by the seed, their translations into the domain `to`, and what these return to."""
    source = trained.source_of(to)
    images = _chosen(trained.dataset[source].test, count, seed)
    there = trained.translate(images, to)
    return images, there, trained.translate(there, source)


def _chosen(split: Split, count: int, seed: int) -> Tensor:
    if not 1 <= count <= len(split):
        raise UsageError(f"count is {count}, expected between 1 and {len(split)}, the images in the test set")
    return split.batch(permutation(len(split), seed, "shown")[:count]).images


@dataclass(frozen=True)
class Ways:
    """Which ways are shown, one a row. between: test images or noise, None for images where the model encodes them."""

    rows: int = 8
    steps: int = 11
    seed: int = 0
    path: Literal["auto", "linear", "spherical"] = "auto"
    between: Literal["images", "noise"] | None = None
    label: str | None = None


def interpolations(trained: "OpenedRun", ways: Ways) -> tuple[Tensor, Literal["images", "noise"]]:
    """Return images [rows * steps c h w], each row a way, and between what.

    Between test images of different classes, where there are any, or between images that the model makes of noise.
    Raises UsageError for numbers and labels that make no sense, NotApplicable where the model cannot do it.
    """
    if ways.steps < 2:
        raise UsageError(f"steps is {ways.steps}, expected at least 2: the two ends")
    between = ways.between or ("images" if isinstance(trained.model, LatentSpace) else "noise")
    if between == "noise":
        images = trained.interpolate_noise(ways.rows, ways.steps, ways.seed, ways.path, label=ways.label)
        return images.flatten(0, 1), between
    if not isinstance(trained.model, LatentSpace) and isinstance(trained.model, Samples):
        name = type(trained.model).__name__
        raise NotApplicable(
            f"interpolation between images is not applicable to {name}: it needs {LatentSpace.phrase}. Use --between noise"
        )
    if ways.label is not None:
        raise UsageError(
            f"--label {ways.label} is for ways between noise, and test images have classes of their own: leave it out"
        )
    first, last = _pairs(trained.dataset.test, ways.rows, ways.seed)
    return trained.interpolate(first, last, ways.steps, ways.path).flatten(0, 1), between


def _pairs(split: Split, count: int, seed: int) -> tuple[Tensor, Tensor]:
    if not 1 <= count <= len(split) // 2:
        raise UsageError(f"rows is {count}, expected between 1 and {len(split) // 2}, half of the images in the test set")
    order = permutation(len(split), seed, "pairs")
    starts, ends = order[:count], order[count:]
    if split.labels is not None:
        ends = np.array([_of_other_class(split.labels, start, ends[row:]) for row, start in enumerate(starts)])
    return split.batch(starts).images, split.batch(ends[:count]).images


def _of_other_class(labels: np.ndarray, start: int, candidates: np.ndarray) -> int:
    others = candidates[labels[candidates] != labels[start]]
    return int(others[0] if len(others) else candidates[0])

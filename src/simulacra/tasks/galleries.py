"""Pictures of what a model does with the images of the test set."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.randomness import permutation
from simulacra.data.dataset import Split
from simulacra.tasks.translation import Journey

if TYPE_CHECKING:
    from simulacra.tasks.trained import Trained


def test_images(trained: "Trained", count: int, seed: int) -> Tensor:
    """Return `count` images [n c h w] of the test set, chosen by the seed."""
    return _chosen(trained.dataset.test, count, seed)


def journey(trained: "Trained", to: str, count: int, seed: int) -> Journey:
    """Return `count` test images, chosen by the seed, their translations into the domain `to`, and what these return to."""
    source = trained.source_of(to)
    images = _chosen(trained.dataset[source].test, count, seed)
    there = trained.translate(images, to)
    return images, there, trained.translate(there, source)


def _chosen(split: Split, count: int, seed: int) -> Tensor:
    if not 1 <= count <= len(split):
        raise UsageError(f"count is {count}, expected between 1 and {len(split)}, the images in the test set")
    return split.batch(permutation(len(split), seed, "shown")[:count]).images


def interpolations(
    trained: "Trained", rows: int, steps: int, seed: int, path: Literal["auto", "linear", "spherical"] = "auto"
) -> Tensor:
    """Return images [rows * steps c h w]: each row goes from one test image to another, of another class where there are any."""
    first, last = _pairs(trained.dataset.test, rows, seed)
    return trained.interpolate(first, last, steps, path).flatten(0, 1)


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

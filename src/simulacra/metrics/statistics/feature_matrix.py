"""Feature matrices, one row per image: checks, chunks, random subsets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import DataError, UsageError
from simulacra.core.randomness import permutation

Features = Tensor | NDArray[Any]
CHUNK = 4096  # rows, where the number does not affect results


def matrix(features: Features, what: str) -> Tensor:
    """Return features as float32 or float64 [n d], without a copy where possible.

    Raises DataError unless they are a matrix of finite floats.
    """
    tensor = torch.as_tensor(features)
    if tensor.ndim != 2 or not tensor.is_floating_point():
        raise DataError(f"{what}: features are {tensor.dtype} {list(tensor.shape)}, expected a float matrix [n d]")
    tensor = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    for start, chunk in chunks(tensor):
        finite = chunk.isfinite().all(1)
        if not finite.all():
            row = start + int((~finite).nonzero()[0].item())
            raise DataError(f"{what}: the features of image {row} are not finite: check the image and the extractor")
    return tensor


def same_dimensions(first: Features, second: Features, what: tuple[str, str] = ("generated", "real")) -> tuple[Tensor, Tensor]:
    """Return two sets of features as matrices [n d] and [m d]; raises UsageError where their dimensions differ."""
    left, right = matrix(first, what[0]), matrix(second, what[1])
    if left.shape[1] != right.shape[1]:
        shapes = f"{left.shape[1]} dimensions of {what[0]} and {right.shape[1]} of {what[1]} images"
        raise UsageError(f"features have {shapes}, expected equal numbers: use the same extractor for both")
    return left, right.to(left.device)


def chunks(features: Tensor, size: int = CHUNK) -> Iterator[tuple[int, Tensor]]:
    """Yield (position of the first row, rows) of features in chunks, in order."""
    for start in range(0, len(features), size):
        yield start, features[start : start + size]


def random_rows(features: Features, count: int, seed: int, purpose: str) -> Tensor:
    """Return `count` rows without replacement, a function of (seed, purpose); raises UsageError where there are fewer."""
    rows = matrix(features, purpose)
    if count > len(rows):
        raise UsageError(f"{purpose}: {count:,} images are requested, expected at most {len(rows):,}")
    chosen = np.sort(permutation(len(rows), seed, purpose)[:count])
    return rows[torch.from_numpy(chosen).to(rows.device)]


def classes(labels: Tensor | NDArray[Any], what: str, count: int) -> Tensor:
    """Return class labels as int64 [n]; raises DataError unless they are integers in 0..count-1."""
    tensor = torch.as_tensor(labels)
    if tensor.ndim != 1 or tensor.is_floating_point() or tensor.is_complex():
        raise DataError(f"{what}: labels are {tensor.dtype} {list(tensor.shape)}, expected integers [n]")
    tensor = tensor.long()
    if len(tensor) and not (tensor.min().item() >= 0 and tensor.max().item() < count):
        raise DataError(f"{what}: labels run from {tensor.min().item()} to {tensor.max().item()}, expected 0 to {count - 1}")
    return tensor

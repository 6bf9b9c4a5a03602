"""Mean and covariance of features in float64, accumulated over chunks, in blocks that can be removed for the jackknife."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.core.randomness import derive
from simulacra.metrics.statistics.feature_matrix import Features, chunks, matrix

BLOCKS = 20
_PAGE = 1000 * BLOCKS  # positions whose blocks are drawn by one generator


@dataclass(frozen=True)
class Moments:
    """Count, mean [d] and scatter [d d] (the sum of outer products of deviations from the mean), float64."""

    count: int
    mean: Tensor
    scatter: Tensor

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance [d d], divided by n - 1; zero for a single row."""
        return self.scatter / max(self.count - 1, 1)

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of the union of both sets (Chan, Golub & LeVeque 1983, for vectors)."""
        if self.count == 0:
            return other
        count = self.count + other.count
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        between = torch.outer(difference, difference) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    def without(self, part: "Moments") -> "Moments":
        """Return the moments without a part, which must be a subset of these rows."""
        return self.merged(Moments(-part.count, part.mean, -part.scatter))


def moments(features: Tensor) -> Moments:
    """Return the moments of features [n d], from deviations about their own mean."""
    exact = features.double()
    mean = exact.mean(0) if len(exact) else exact.new_zeros(exact.shape[1])
    deviations = exact - mean
    return Moments(len(exact), mean, deviations.T @ deviations)


class BlockedMoments:
    """Moments of a stream of features, in 20 random blocks of equal size.

    The block of a row is a function of its position, so chunks of any size give the same blocks. Blocks are random and not
    consecutive because data are often sorted, for instance by class.
    """

    def __init__(self, dimensions: int) -> None:
        empty = torch.zeros(dimensions, dtype=torch.float64)
        self.blocks = [Moments(0, empty, torch.zeros(dimensions, dimensions, dtype=torch.float64)) for _ in range(BLOCKS)]

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(block.count for block in self.blocks)

    @property
    def dimensions(self) -> int:
        """Number of dimensions."""
        return len(self.blocks[0].mean)

    def add(self, features: Features) -> None:
        """Add the next rows [n d]; raises DataError unless they are a finite matrix with `dimensions` columns."""
        rows = matrix(features, "moments")
        if rows.shape[1] != self.dimensions:
            raise DataError(f"features have {rows.shape[1]} dimensions, expected {self.dimensions}")
        joined = torch.from_numpy(_blocks(self.count, len(rows))).to(rows.device)
        for number, block in enumerate(self.blocks):
            chosen = rows[joined == number]
            if len(chosen):
                self.blocks[number] = block.merged(moments(chosen.cpu()))

    def total(self) -> Moments:
        """Return the moments of all rows."""
        first, *others = self.blocks
        return reduce(Moments.merged, (block for block in others if block.count), first)


def blocked_moments(features: Iterable[Features] | Features) -> BlockedMoments:
    """Return the moments of features, one matrix [n d] or chunks of it; raises DataError where there are none."""
    if isinstance(features, Tensor | np.ndarray):
        features = (rows for _, rows in chunks(torch.as_tensor(features)))
    accumulated: BlockedMoments | None = None
    for chunk in features:
        accumulated = accumulated or BlockedMoments(chunk.shape[-1])
        accumulated.add(chunk)
    if accumulated is None:
        raise DataError("there are no features, expected at least one image")
    return accumulated


def _blocks(start: int, count: int) -> NDArray[np.int64]:
    """Return the blocks of the rows start .. start+count; 20 successive rows have 20 different blocks."""
    first, last = start // _PAGE, (start + max(count, 1) - 1) // _PAGE
    generators = [np.random.default_rng(derive(0, "block", page)) for page in range(first, last + 1)]
    blocks = np.concatenate([random.permuted(_PATTERN, axis=1).ravel() for random in generators])
    return blocks[start - first * _PAGE :][:count]


_PATTERN = np.tile(np.arange(BLOCKS), (_PAGE // BLOCKS, 1))

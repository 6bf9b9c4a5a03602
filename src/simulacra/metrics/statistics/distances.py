"""Euclidean distances between many points in blocks: products in float32, and float64 where rounding could change a result."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.metrics.statistics.feature_matrix import chunks

BLOCK = 2**22  # elements of a block of distances, 16 MiB
_SPARE = 3  # additional candidates, since float32 can change the order of close neighbours
_ROUNDING = 2.0**-24
_PAIRS = 2**22  # elements of a block of differences


@dataclass(frozen=True)
class Cloud:
    """Points [n d], the same centred in float32, and the squared norms [n] of the centred points.

    Distances do not depend on the centre, but |x - y|^2 = |x|^2 + |y|^2 - 2 x.y cancels where x and y have a large common part,
    most of which the centring removes.
    """

    points: Tensor
    moved: Tensor
    norms: Tensor

    def __len__(self) -> int:
        return len(self.points)

    def rows(self, start: int, stop: int) -> "Cloud":
        """Return a slice of the points."""
        return Cloud(self.points[start:stop], self.moved[start:stop], self.norms[start:stop])


def cloud(points: Tensor, centre: Tensor) -> Cloud:
    """Return points [n d] about a centre [d]."""
    moved = (points - centre.to(points.dtype)).float()
    return Cloud(points, moved, torch.linalg.vecdot(moved, moved))


def clouds(first: Tensor, second: Tensor) -> tuple[Cloud, Cloud]:
    """Return two sets of points about the mean of the second."""
    centre = middle(second)
    return cloud(first, centre), cloud(second, centre)


def middle(points: Tensor) -> Tensor:
    """Return the mean [d] of points in float64, without a float64 copy of all points."""
    sums = points.new_zeros(points.shape[1], dtype=torch.float64)
    for _, chunk in chunks(points):
        sums += chunk.sum(0, dtype=torch.float64)
    return sums / len(points)


def squares(queries: Cloud, references: Cloud) -> Tensor:
    """Return squared distances, float32 [m n], at least 0, with an error of at most `rounding` with high probability."""
    result = torch.addmm(references.norms, queries.moved, references.moved.T, alpha=-2)
    return result.add_(queries.norms[:, None]).clamp_(min=0)


def rounding(queries: Cloud, references: Cloud) -> Tensor:
    """Return a bound [n] of the error of `squares` for all queries of a block: u (sqrt(d) + 8) (|x|^2 + |y|^2).

    u is the unit roundoff. The error of a product of length d grows like the root of d (Higham & Mary 2019, section 3); the
    constant 8 covers centring and sum.
    """
    dimensions = queries.points.shape[1]
    return _ROUNDING * (dimensions**0.5 + 8) * (queries.norms.max() + references.norms)


def exact(first: Tensor, second: Tensor) -> Tensor:
    """Return distances of pairs of points, float64 [...] of float [... d]: by differences, so 0 for equal points."""
    return (first.double() - second.double()).square().sum(-1).sqrt()


def blocks(queries: Cloud, width: int, block: int = BLOCK) -> Iterator[tuple[int, Cloud]]:
    """Yield (position, points) in blocks of about `block` distances to `width` references."""
    size = max(block // max(width, 1), 1)
    for start in range(0, len(queries), size):
        yield start, queries.rows(start, start + size)


def nearest(
    queries: Cloud, references: Cloud, count: int, meter: Meter, *, same: bool = False, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """Return distances (float64) and positions (int64) of the `count` references nearest to each query, both [m count].

    With `same`, queries are the references, and no point is a neighbour of itself. Distances are computed in float64; which
    points are nearest is correct up to the rounding of `squares`. The meter counts queries.
    """
    # results are allocated before the blocks, which avoids fragmentation of the memory
    distances = torch.empty(len(queries), count, dtype=torch.float64, device=queries.moved.device)
    positions = torch.empty(len(queries), count, dtype=torch.int64, device=queries.moved.device)
    for start, part in blocks(queries, len(references), block):
        rows = slice(start, start + len(part))
        distances[rows], positions[rows] = _nearest_of(part, start, references, count, same)
        meter.advance(len(part))
    return distances, positions


def within(queries: Cloud, references: Cloud, found: Tensor, limits: Tensor) -> Tensor:
    """Return which pairs [m n] have a distance of at most `limits` (float64 [m 1] or [n]), given their `squares`.

    Pairs within the rounding error of float32 are computed again in float64.
    """
    margins = limits.square().float() - found
    inside = margins > 0
    for pairs in (margins.abs_() <= rounding(queries, references)).nonzero().split(_pairs(queries)):
        rows, columns = pairs.unbind(1)
        bounds = limits.expand(found.shape)[rows, columns]
        inside[rows, columns] = exact(queries.points[rows], references.points[columns]) <= bounds
    return inside


def _nearest_of(queries: Cloud, start: int, references: Cloud, count: int, same: bool) -> tuple[Tensor, Tensor]:
    found = squares(queries, references)
    if same:
        own = torch.arange(len(queries), device=found.device)
        found[own, start + own] = torch.inf
    candidates = found.topk(min(count + _SPARE, len(references) - same), largest=False, sorted=False).indices
    rows = max(_pairs(queries) // candidates.shape[1], 1)
    parts = zip(queries.points.split(rows), candidates.split(rows), strict=True)
    distances = torch.cat([exact(points[:, None], references.points[chosen]) for points, chosen in parts])
    ordered, order = distances.sort(dim=1, stable=True)
    return ordered[:, :count], candidates.gather(1, order)[:, :count]


def _pairs(cloud: Cloud) -> int:
    return max(_PAIRS // cloud.points.shape[1], 1)

"""How faithful a map is: trustworthiness, continuity, and nearest-neighbour accuracy in the map and in the latents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulacra.core.errors import UsageError

NEIGHBOURS = 5
_BLOCK = 2**21  # elements of a block of distances, 16 MiB


@dataclass(frozen=True)
class Faithfulness:
    """Errors of a map. Each value is in [0, 1], larger is better.

    trustworthiness: 1 where the neighbours of each point in the map are its neighbours in the latents; continuity: 1 where the
    neighbours of each point in the latents are its neighbours in the map; knn_accuracy: share of points whose nearest others in
    the map vote for their class, None without classes.
    """

    trustworthiness: float
    continuity: float
    knn_accuracy: float | None


def faithfulness(latents: NDArray[Any], plane: NDArray[Any], classes: NDArray[np.int64] | None) -> Faithfulness:
    """Return the faithfulness of a map [n 2] of latents [n d] with classes int64 [n]; raises UsageError for too few points."""
    trust, continuity = _rank_errors(latents, plane, NEIGHBOURS)
    return Faithfulness(trust, continuity, None if classes is None else knn_accuracy(plane, classes))


def trustworthiness(original: NDArray[Any], mapped: NDArray[Any], neighbours: int = NEIGHBOURS) -> float:
    """Return the trustworthiness of mapped points [n e] of original points [n d] (Venna & Kaski 2001, eq. 1).

    T = 1 - 2 / (n k (2 n - 3 k - 1)) sum_i sum_j in U_i (r(i, j) - k), where U_i are points that are among the k nearest to i in
    the map but not among the originals, and r(i, j) is the rank of j by distance from i among the originals, 1 for the nearest.
    Euclidean distances; ties are ordered by number. With the arguments exchanged it is the continuity. Raises UsageError for
    fewer than 2 k + 1 points.
    """
    return _rank_errors(original, mapped, neighbours)[0]


def _rank_errors(original: NDArray[Any], mapped: NDArray[Any], neighbours: int) -> tuple[float, float]:
    """Return trustworthiness and continuity."""
    count = check_count(len(original), neighbours)
    excess = np.zeros(2)
    for first, second in zip(_ordered(original), _ordered(mapped), strict=True):
        excess += _excess(first, second[:, :neighbours]), _excess(second, first[:, :neighbours])
    trust, continuity = 1 - 2 * excess / (count * neighbours * (2 * count - 3 * neighbours - 1))
    return float(trust), float(continuity)


def _excess(ordered: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
    """Return the sum of r - k over the k points [b k] that are chosen, where their rank r among the ordered [b n] exceeds k."""
    ranks = np.empty_like(ordered)
    np.put_along_axis(ranks, ordered, np.arange(1, ordered.shape[1] + 1)[None], 1)
    return int((np.take_along_axis(ranks, chosen, 1) - chosen.shape[1]).clip(min=0).sum())


def knn_accuracy(points: NDArray[Any], classes: NDArray[np.int64], neighbours: int = NEIGHBOURS) -> float:
    """Return the share of points [n d] whose k nearest other points vote for their class, int64 [n].

    Equal votes; ties go to the class with the lowest number. Raises UsageError for fewer than 2 k + 1 points.
    """
    check_count(len(points), neighbours)
    votes = np.zeros((len(points), int(classes.max()) + 1), np.int64)
    nearest = np.concatenate([block[:, :neighbours] for block in _ordered(points)])
    np.add.at(votes, (np.arange(len(points))[:, None], classes[nearest]), 1)
    return float((votes.argmax(1) == classes).mean())


def check_count(count: int, neighbours: int = NEIGHBOURS) -> int:
    """Return the number of points; raises UsageError where it is smaller than 2 k + 1."""
    if count < 2 * neighbours + 1:
        raise UsageError(f"a map has {count} points, expected at least {2 * neighbours + 1}: give more --points")
    return count


def _ordered(points: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    """Yield for blocks of points the numbers of all points by distance, the point itself last: int64 [b n]."""
    exact = np.asarray(points, np.float64)
    exact = exact - exact.mean(0)
    norms = (exact**2).sum(1)
    size = max(_BLOCK // len(exact), 1)
    for start in range(0, len(exact), size):
        rows = exact[start : start + size]
        squares = norms[None] - 2 * rows @ exact.T  # without the norm of the row, which does not change the order
        own = np.arange(len(rows))
        squares[own, start + own] = np.inf
        yield squares.argsort(1, kind="stable")

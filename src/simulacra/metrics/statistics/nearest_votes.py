"""Votes of the nearest labelled points for their classes (Cover & Hart 1967)."""

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.metrics.statistics.distances import BLOCK, clouds, nearest


def class_votes(
    known: Tensor, labels: Tensor, unseen: Tensor, count: int, meter: Meter, *, n_neighbors: int, block: int = BLOCK
) -> Tensor:
    """Return how many of the `n_neighbors` nearest known points of each unseen point have each class: float32 [n count].

    known: [m d] with classes int64 [m] in 0..count-1; unseen: [n d]. Euclidean distances without scaling, equal votes. The meter
    counts unseen points.
    """
    queries, references = clouds(unseen, known)
    _, positions = nearest(queries, references, n_neighbors, meter, block=block)
    votes = torch.zeros(len(unseen), count, device=unseen.device)
    return votes.scatter_add_(1, labels[positions], torch.ones_like(positions, dtype=votes.dtype))

"""Label spreading on a graph of nearest neighbours (Zhou et al. 2004), and its extension to new points."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from simulacra.classification.classifier import Classifier
from simulacra.core.progress import SILENT, Progress
from simulacra.metrics.statistics.distances import clouds, nearest
from simulacra.metrics.statistics.measurement import require

ALPHA = 0.99
"""Weight of the neighbours against the given label (Zhou et al. 2004, section 4)."""
N_NEIGHBORS = 10
_ITERATIONS = 200  # of conjugate gradients: a relative error below 1e-11, since the condition number is at most 199
_LEAST = 1e-12  # of distances and scores, against division by zero


def spread_labels(weights: Tensor, labels: Tensor, count: int, alpha: float = ALPHA) -> Tensor:
    """Return the scores F = (I - alpha S)^-1 Y, float64 [n count] (Zhou et al. 2004, section 2).

    weights: symmetric, sparse or dense, float64 [n n], without self-loops; S = D^-1/2 W D^-1/2; labels: int64 [n], -1 where there
    is none, whose row of Y is zero. Solved by 200 conjugate gradient steps of all columns at once.
    """
    known = (labels >= 0).nonzero()[:, 0]
    targets = torch.zeros(len(labels), count, dtype=torch.float64)
    targets[known, labels[known]] = 1
    root = (weights @ torch.ones(len(labels), 1, dtype=torch.float64)).clamp(min=_LEAST).rsqrt()

    def applied(values: Tensor) -> Tensor:
        return values - alpha * root * (weights @ (root * values))

    return _conjugate_gradients(applied, targets)


def _conjugate_gradients(applied: Callable[[Tensor], Tensor], targets: Tensor) -> Tensor:
    """Return the solution of A X = B for a symmetric positive definite A, column by column (Hestenes & Stiefel 1952)."""
    solution, residual = torch.zeros_like(targets), targets.clone()
    direction, squares = residual.clone(), residual.square().sum(0)
    for _ in range(_ITERATIONS):
        product = applied(direction)
        step = squares / (direction * product).sum(0).clamp(min=torch.finfo(torch.float64).tiny)
        solution, residual = solution + step * direction, residual - step * product
        before, squares = squares, residual.square().sum(0)
        direction = residual + squares / before.clamp(min=torch.finfo(torch.float64).tiny) * direction
    return solution


def neighbour_graph(points: Tensor, n_neighbors: int, progress: Progress = SILENT) -> tuple[Tensor, Tensor]:
    """Return the weights of a graph of nearest neighbours, sparse float64 [n n], and the width of each point, float64 [n].

    Two of the points [n d] are connected if one is among the `n_neighbors` nearest of the other, with the weight
    exp(-d^2 / (s_i s_j)), where the width s is the distance to the farthest of these neighbours (Zelnik-Manor & Perona 2004).
    Raises UsageError for as few points as neighbours.
    """
    require("label spreading", "images", len(points), n_neighbors + 1, "use more images")
    (both, _) = clouds(points, points)
    with progress.task("graph of neighbours", len(points), "images") as meter:
        distances, positions = nearest(both, both, n_neighbors, meter, same=True)
    widths = distances[:, -1].clamp(min=_LEAST)
    rows = torch.arange(len(points))[:, None].expand_as(positions)
    values = torch.exp(-(distances**2) / (widths[rows] * widths[positions]))
    pairs = torch.stack([torch.minimum(rows, positions).flatten(), torch.maximum(rows, positions).flatten()])
    unique, where = pairs.unique(dim=1, return_inverse=True)  # a pair of mutual neighbours occurs twice, with one weight
    weights = torch.zeros(unique.shape[1], dtype=torch.float64).index_copy_(0, where, values.flatten())
    indices = torch.cat([unique, unique.flip(0)], 1)
    graph = torch.sparse_coo_tensor(indices, torch.cat([weights, weights]), (len(points), len(points)), check_invariants=False)
    return graph.coalesce(), widths


@dataclass(frozen=True)
class SpreadingClassifier(Classifier):
    """Scores of the points of a graph, and of new points by the mean over their nearest points (Delalleau et al. 2005, eq. 6).

    points: float32 [n d]; widths: float64 [n]; probabilities: float64 [n c], the scores of each point divided by their sum. A new
    point has the width of the distance to its own farthest neighbour; the weights are those of the graph. New points change
    nothing: they are classified one by one.
    """

    points: Tensor
    widths: Tensor
    probabilities: Tensor
    n_neighbors: int = N_NEIGHBORS

    @classmethod
    def fit(cls, points: Tensor, labels: Tensor, count: int, progress: Progress = SILENT) -> "SpreadingClassifier":
        """Spread classes int64 [n], -1 where unknown, over points [n d]."""
        graph, widths = neighbour_graph(points, N_NEIGHBORS, progress)
        scores = spread_labels(graph, labels, count).clamp(min=0)
        floor = _LEAST / count  # unreachable points have equal probabilities
        return cls(points, widths, (scores + floor) / (scores + floor).sum(1, keepdim=True))

    def decision_function(self, features: Tensor) -> Tensor:
        """Return the logarithms of the probabilities."""
        queries, references = clouds(features, self.points)
        with SILENT.task("neighbours", len(features), "images") as meter:
            distances, positions = nearest(queries, references, self.n_neighbors, meter)
        widths = distances[:, -1:].clamp(min=_LEAST)
        weights = torch.exp(-(distances**2) / (widths * self.widths[positions]))
        mean = (weights[..., None] * self.probabilities[positions]).sum(1) / weights.sum(1, keepdim=True)
        return mean.clamp(min=_LEAST).log()

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Points, widths and probabilities."""
        return {"points": self.points, "widths": self.widths, "probabilities": self.probabilities}

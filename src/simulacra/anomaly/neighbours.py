"""Distances to the nearest of many reference points, and local outlier ratios."""

from torch import Tensor

from simulacra.core.progress import SILENT
from simulacra.metrics.statistics.distances import cloud, middle, nearest

NEIGHBOURS = 10  # of local outlier ratios
_LEAST = 1e-12  # of a mean distance between references, against division by zero among copies


class Neighbours:
    """Reference points float [n d] and the number k of neighbours, at most n."""

    def __init__(self, references: Tensor, count: int) -> None:
        self._centre, self.count = middle(references), min(count, len(references))
        self._references = cloud(references, self._centre)

    def distances(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return Euclidean distances float64 [m k] to the k nearest references, ascending, and their positions int64 [m k]."""
        with SILENT.task("", None, "") as meter:
            return nearest(cloud(points, self._centre), self._references, self.count, meter)

    def own_distances(self) -> Tensor:
        """Return the distances float64 [n k] of each reference to the k nearest others; raises ValueError unless k < n."""
        if self.count >= len(self._references):
            raise ValueError(f"{self.count} neighbours of {len(self._references)} references, expected more references")
        with SILENT.task("", None, "") as meter:
            return nearest(self._references, self._references, self.count, meter, same=True)[0]


class LocalOutliers:
    """Ratio of the distance of a point to its neighbours and the distances of these to their own neighbours.

    score(x) = mean_i |x - n_i(x)| / mean_i r(n_i(x)), with n_1(x) .. n_k(x) the k references nearest to x, and r(n) the mean
    distance of the reference n to its own k nearest references, itself excluded. About 1 among references however dense they
    are there, larger outside. It is a simplified local outlier factor (Breunig et al. 2000; Schubert, Zimek & Kriegel 2014,
    section 3): mean distances replace reachability distances.
    """

    def __init__(self, references: Tensor, count: int) -> None:
        self._neighbours = Neighbours(references, max(1, min(count, len(references) - 1)))
        self._own = self._neighbours.own_distances().mean(1).clamp_min(_LEAST)

    def ratios(self, points: Tensor) -> Tensor:
        """Return the ratios float64 [m] of points [m d]."""
        distances, positions = self._neighbours.distances(points)
        return distances.mean(1) / self._own[positions].mean(1)

"""How different a few hundred generated images are from each other, against real ones: cheap enough for a look while training.

In pixels, without an extractor. What `metrics/diversity.py` measures of thousands in features is the number to report.
"""

from torch import Tensor

from simulacra.core.progress import SILENT
from simulacra.metrics.diversity import mean_pairwise_distance
from simulacra.metrics.statistics.distances import cloud, middle, nearest

LEAST = 10  # images on either side


def variety(generated: Tensor, real: Tensor) -> dict[str, float]:
    """Return diversity and distinctness of generated against as many real images, both [n c h w] in [0, 1]; 1 is as real ones.

    diversity: the mean Euclidean distance over all pairs of generated images, over that of real ones. distinctness: the mean
    distance of a generated image to the nearest other one, over that of real ones, which falls with n: hence equal numbers. The
    first is near 0 where all images are alike; the second also where a few images come again and again, which may be far apart.
    A ratio is left out where real images are all the same. Raises UsageError below 10 images on either side.
    """
    ours, theirs = _distances(generated.flatten(1)), _distances(real.flatten(1))
    return {name: ours[name] / theirs[name] for name in ours if theirs[name] > 0}


def _distances(rows: Tensor) -> dict[str, float]:
    """Return the mean distances to all others and to the nearest other one of rows [n d]."""
    with SILENT.task("distances", None, "images") as meter:
        pairwise = mean_pairwise_distance(rows, meter).value
        points = cloud(rows, middle(rows))
        found, _ = nearest(points, points, 1, meter, same=True)
    return {"diversity": pairwise, "distinctness": found.mean().item()}

"""Distances of generated and held-out images to the nearest training image."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.core.progress import Meter
from simulacra.core.randomness import derive
from simulacra.metrics.statistics.distances import BLOCK, cloud, middle, nearest
from simulacra.metrics.statistics.feature_matrix import Features, same_dimensions
from simulacra.metrics.statistics.measurement import Measurement, flagged, require

COPY_SHARE = 0.01
LEAST, _ENOUGH = 100, 1000
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Memorization:
    """The ratio, and the nearest training image of each generated image."""

    nearest_train_ratio: Measurement
    distances: Tensor  # float64 [n], of generated images to their nearest training image
    positions: Tensor  # int64 [n], which training image that is
    held_out_distances: Tensor  # float64 [m], of held-out real images
    copies: Tensor  # bool [n], at most as far as the closest 1 % of held-out images

    def closest(self, count: int) -> Tensor:
        """Return the positions of the generated images that are closest to a training image, ascending: int64 [count]."""
        return self.distances.argsort(stable=True)[:count]


def memorization(
    generated: Features, train: Features, held_out: Features, seed: int, meter: Meter, *, block: int = BLOCK
) -> Memorization:
    """Return nearest_train_ratio: the median distance to the nearest training image, of generated relative to held-out images.

    About 1 where generated images are as far from the training images as held-out real images are; far below 1 for copies; above
    1 for images unlike any real image. A few copies among many images do not change the median, so the protocol also contains
    `copies`, the share of generated images that are at most as far from a training image as the closest 1 % of held-out images
    (expected: 0.01), and `nearer`, the probability that a generated image is closer than a held-out one (expected: 0.5; the
    statistic of Meehan et al. 2020 without its cells). The interval is that of the percentile bootstrap (Efron 1979) over
    generated and held-out images with the training images fixed: 10,000 seeded resamples. The meter counts generated and held-out
    images. Raises UsageError below 100 generated or held-out images, DataError where held-out images are training images.
    """
    fakes, known = same_dimensions(generated, train, ("generated", "training"))
    unseen, _ = same_dimensions(held_out, train, ("held-out", "training"))
    for what, rows in (("generated images", fakes), ("held-out images", unseen)):
        require("nearest_train_ratio", what, len(rows), LEAST, "use more")
    centre = middle(known)
    training = cloud(known, centre)
    distances, positions = (columns[:, 0] for columns in nearest(cloud(fakes, centre), training, 1, meter, block=block))
    usual = nearest(cloud(unseen, centre), training, 1, meter, block=block)[0][:, 0]
    if usual.quantile(0.25) == 0:
        raise DataError("a quarter of the held-out images have the features of a training image: use other held-out images")
    copies = distances <= usual.quantile(COPY_SHARE)
    found = {"copies": copies.double().mean().item(), "copies_of_real": COPY_SHARE, "nearer": _nearer(distances, usual)}
    protocol = {"train_n": len(known), "held_out_n": len(unseen), "statistic": "ratio of medians", **found, "seed": seed}
    few = flagged(min(len(fakes), len(unseen)), _ENOUGH, "few held-out images determine the threshold of copies")
    ratio = float(np.median(distances.cpu().numpy()) / np.median(usual.cpu().numpy()))
    measured = Measurement(ratio, None, len(fakes), protocol | few, _interval(distances, usual, seed))
    return Memorization(measured, distances, positions, usual, copies)


def _nearer(distances: Tensor, usual: Tensor) -> float:
    """Return the probability that a distance is below a held-out one, ties counted half (Mann & Whitney 1947)."""
    ordered = usual.sort().values
    above = len(usual) - torch.searchsorted(ordered, distances, right=True)
    level = torch.searchsorted(ordered, distances, right=True) - torch.searchsorted(ordered, distances)
    return ((above + 0.5 * level).double().mean() / len(usual)).item()


def _interval(distances: Tensor, usual: Tensor, seed: int) -> tuple[float, float]:
    random = np.random.default_rng(derive(seed, "nearest_train_ratio"))
    above, below = (_resampled_medians(values.cpu().numpy(), random) for values in (distances, usual))
    low, high = np.quantile(above / below, (0.025, 0.975))
    return float(low), float(high)


def _resampled_medians(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the (lower) medians of resamples without drawing them: the rank of such a median is n times a beta variable."""
    count = len(values)
    middle = (count + 1) // 2
    ranks = np.floor(count * random.beta(middle, count - middle + 1, _RESAMPLES)).astype(np.int64)
    return np.sort(values)[ranks]

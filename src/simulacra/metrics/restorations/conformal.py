"""Intervals of pixels from the draws of a restoration, and one factor that calibrates them (split conformal prediction).

The interval of a value is mean ± factor x deviation, clipped to [0, 1]. The factor is a quantile of the scores
|x - mean| / deviation of images that the model was not trained on (Papadopoulos et al. 2002; Lei et al. 2018, section 5.2). Only
hidden values with a deviation above 0.05 count: where all draws agree, such as on a black background, an interval covers
without effort.
"""

import math
from statistics import NormalDist
from typing import Any

from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.metrics.statistics.measurement import Measurement

LEAST_DEVIATION = 0.05
"""Predictive standard deviation, of values in [0, 1], above which a hidden value counts."""


def mean_and_deviation(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation (n - 1 in the denominator) over draws [n k ...]: two tensors float32 [n ...].

    Computed in float64, so that equal draws have a deviation of exactly 0. The deviation of a single draw is 0.
    """
    exact = draws.double()
    mean = exact.mean(1)
    squares = (exact - mean[:, None]).square().sum(1)
    return mean.float(), (squares / max(draws.shape[1] - 1, 1)).sqrt().float()


def counted(deviation: Tensor, known: Tensor) -> Tensor:
    """Return which values count for calibration and coverage: bool [n c h w].

    deviation: float [n c h w]; known: bool [n 1 h w]. Hidden values whose predictive deviation exceeds LEAST_DEVIATION.
    """
    return (deviation > LEAST_DEVIATION) & ~known


def scores(truth: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the conformity scores |x - mean| / deviation, in the shape of the arguments; deviations are positive."""
    return (truth - mean).abs() / deviation


def normal_factor(level: float) -> float:
    """Return the factor of an interval without calibration: that of a Gaussian of the same mean and deviation.

    >>> round(normal_factor(0.9), 3)
    1.645
    """
    return NormalDist().inv_cdf((1 + level) / 2)


def conformal_factor(values: Tensor, level: float) -> float:
    """Return the split-conformal quantile of scores [n]: the ceil((n + 1) level)-th smallest (Lei et al. 2018, algorithm 2).

    If these n scores and a new one are exchangeable, the new one is at most this factor with a probability of at least `level`,
    and at most level + 1 / (n + 1) where all differ. Raises UsageError where n is too small for the level.

    >>> import torch
    >>> conformal_factor(torch.arange(1.0, 10.0), 0.5), conformal_factor(torch.arange(1.0, 10.0), 0.9)
    (5.0, 9.0)
    """
    rank = math.ceil((len(values) + 1) * level - 1e-9)  # 10 x 0.9 is 9, also in floating point
    if rank > len(values):
        least = math.ceil(level / (1 - level) - 1e-9)
        raise UsageError(
            f"a factor of level {level:g} from {len(values):,} hidden values with a deviation above {LEAST_DEVIATION}: at least "
            f"{least:,} are needed. Calibrate with more images, or with more draws"
        )
    return float(values.kthvalue(rank).values)


def interval(mean: Tensor, deviation: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Return the ends of the intervals, lower and upper: float [n c h w] in [0, 1] each."""
    return (mean - factor * deviation).clamp(0, 1), (mean + factor * deviation).clamp(0, 1)


def pooled_mean(sums: Tensor, counts: Tensor, protocol: dict[str, Any]) -> Measurement:
    """Return the mean over values that are grouped in images, from the sum and the number of values of each image, both [n].

    The ratio sum(sums) / sum(counts), whose standard error takes images as clusters, since values of one image are dependent:
    sqrt(n / (n - 1) sum((s_i - ratio c_i)^2)) / sum(counts) (Cochran 1977, eq. 6.13). `n` is the number of images with a value.
    Raises UsageError where there is no value.
    """
    used = counts > 0
    total, each = sums.double()[used], counts.double()[used]
    if not len(each):
        raise UsageError(f"no hidden value has a deviation above {LEAST_DEVIATION}: the draws agree everywhere")
    ratio = (total.sum() / each.sum()).item()
    squares = (total - ratio * each).square().sum().item()
    error = math.sqrt(squares * len(each) / max(len(each) - 1, 1)) / each.sum().item()
    return Measurement(ratio, error, len(each), protocol)

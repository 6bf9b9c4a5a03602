"""Standard errors by half samples: the difference of a statistic between random halves of the data."""

import math

import numpy as np
import torch
from torch import Tensor

from simulacra.core.randomness import derive
from simulacra.metrics.statistics.measurement import QUANTILE, wilson

SPLITS = 20
REACH = 2.086  # 97.5 % quantile of Student's distribution with 20 degrees of freedom


def halves(count: int) -> Tensor:
    """Return 20 random divisions of `count` rows into halves: float32 [count 40], 1 where a row is in a half.

    Columns k and 20 + k are complementary. They depend on the count alone.
    """
    random = np.random.default_rng(derive(0, "halves", count))
    first = random.permuted(np.tile((np.arange(count) % 2).astype(np.float32), (SPLITS, 1)), axis=1)
    return torch.from_numpy(np.concatenate([first, 1 - first]).T.copy())


def half_sample_error(values: Tensor) -> float:
    """Return the standard error of a statistic whose variance is proportional to 1/n, from its values [40] in `halves`.

    Two halves are independent samples, so that the mean squared difference of the statistic between them is twice its variance
    in half of the data, which is twice the variance in all data (McCarthy 1969). It is estimated from 20 differences: a 95 %
    interval is the value +- `REACH` errors, by Student's distribution.

    >>> half_sample_error(torch.tensor([3.0] * 20 + [1.0] * 20))
    1.0
    """
    first, second = values.double().chunk(2)
    return (first - second).square().mean().sqrt().item() / 2


def share_interval(share: float, count: int, values: Tensor) -> tuple[float, float]:
    """Return the 95 % interval of a share of `count` images, from its values [40] in `halves`.

    Wilson's interval (1927) with the effective sample size p (1 - p) (1.96 / reach)^2 (Korn & Graubard 1998), at most `count`. It
    is within [0, 1], and not empty where all or none are counted. p is the mean in halves, with half an image more on either
    side; it differs from the share where this depends on the number of images.

    >>> values = torch.tensor([0.55] * 20 + [0.45] * 20)  # an error of 0.05, as of 100 independent images
    >>> [round(end, 2) for end in share_interval(0.5, 400, values)]
    [0.4, 0.6]
    >>> share_interval(1, 400, torch.ones(40)) == wilson(1, 400)
    True
    """
    p = (values.double().mean().item() * count + 0.5) / (count + 1)
    reach = REACH * half_sample_error(values)
    effective = p * (1 - p) * (QUANTILE / reach) ** 2 if reach else math.inf
    return wilson(share, min(effective, count))


def mean_count_interval(mean: float, values: Tensor) -> tuple[float, float]:
    """Return the 95 % interval of a mean of counts, from its values [40] in `halves`; counts vary like the root of their mean."""
    usual = values.double().mean().item()
    reach = REACH * half_sample_error(values) * (math.sqrt(mean / usual) if usual else 1.0)
    return max(mean - reach, 0.0), mean + reach

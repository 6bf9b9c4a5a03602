"""Standard errors by half samples: the difference of a statistic between random halves of the data."""

import numpy as np
import torch
from torch import Tensor

from simulacra.core.randomness import derive

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

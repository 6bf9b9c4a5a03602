"""Learning-rate schedules."""

import math
from typing import Literal


def factor(done: float, warmup: float, schedule: Literal["constant", "cosine", "linear"]) -> float:
    """Return the learning rate, as a multiple of its peak, at the fraction `done` of the training, in [0, 1].

    Linear from 0 over the fraction `warmup`; then constant; or half a cosine down to 0 (Loshchilov & Hutter 2016, eq. 5); or
    `linear`: constant until half of the training, then linearly down to 0 (Zhu et al. 2017, section 4).

    >>> [round(factor(done, 0.1, "cosine"), 3) for done in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    >>> [round(factor(done, 0.1, "linear"), 3) for done in (0.05, 0.1, 0.5, 0.75, 1.0)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if done < warmup:
        return done / warmup
    if schedule == "constant":
        return 1.0
    start = warmup if schedule == "cosine" else max(warmup, 0.5)
    rest = min(1.0, max(0.0, done - start) / max(1e-12, 1 - start))
    if schedule == "linear":
        return 1 - rest
    return 0.5 * (1 + math.cos(math.pi * rest))

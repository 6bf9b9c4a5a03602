"""Significance of differences between numbers of runs: paired over images where possible, with Holm's correction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from simulacra.metrics.statistics.measurement import QUANTILE, Measurement

Key = TypeVar("Key")

LEVEL = 0.05  # probability that any of several tests finds a difference where there is none
_UPPER = 0.975  # quantile of Student's distribution for a 95 % interval


@dataclass(frozen=True)
class Difference:
    """The difference between the numbers of two runs, the first minus the second, with its 95 % interval without a correction.

    p_value: two-sided; paired: whether it is that of the values of the same images; significant: at the 5 % level, with Holm's
    correction for all tests of a comparison.
    """

    runs: tuple[str, str]
    value: float
    interval: tuple[float, float]
    p_value: float
    paired: bool
    significant: bool = False

    def table(self) -> dict[str, Any]:
        """Return the JSON object."""
        facts = {"paired": self.paired, "significant": self.significant}
        return {"runs": list(self.runs), "value": self.value, "interval": list(self.interval), "p_value": self.p_value, **facts}


def difference(runs: tuple[str, str], first: Measurement, second: Measurement) -> Difference:
    """Return the difference of two numbers that were measured under the same conditions.

    Where both are means over the same images, it is the mean of the differences of single images, tested by Student's t test
    (1908): what makes an image difficult for both models cancels. Else the two errors are taken for independent, and the interval
    combines the distances of both values to the ends of their intervals (Zou & Donner 2008): for normal intervals this is the
    usual test of a difference of means, and intervals that are not symmetric keep their shape.
    """
    value = first.value - second.value
    if (deviations := _deviations(first, second)) is not None:
        reach, p_value = _paired(deviations)
        return Difference(runs, value, (value - reach, value + reach), p_value, paired=True)
    below, above = _reach(first, second), _reach(second, first)
    p_value = _p_value(abs(value), below if value > 0 else above)
    return Difference(runs, value, (value - below, value + above), p_value, paired=False)


def holm(p_values: Mapping[Key, float], level: float = LEVEL) -> set[Key]:
    """Return the tests that are significant together (Holm 1979): the smallest p value times their number, and so on.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a'}
    """
    found: set[Key] = set()
    for place, key in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        if p_values[key] * (len(p_values) - place) > level:
            break
        found.add(key)
    return found


def _deviations(first: Measurement, second: Measurement) -> Tensor | None:
    """Return the differences of single images, float64 [n]; None where the numbers are not means over the same images."""
    ours, theirs = first.scores, second.scores
    if ours is None or theirs is None or not len(ours) == len(theirs) > 1:
        return None
    return ours.double() - theirs.double()


def _paired(deviations: Tensor) -> tuple[float, float]:
    """Return the half width of the 95 % interval of the mean of differences [n], and its two-sided p value."""
    from scipy.special import stdtr, stdtrit

    mean, error = deviations.mean().item(), deviations.std().item() / math.sqrt(len(deviations))
    if not error:
        return 0.0, float(mean == 0)
    freedom = len(deviations) - 1
    return float(stdtrit(freedom, _UPPER)) * error, 2 * float(stdtr(freedom, -abs(mean) / error))


def _reach(high: Measurement, low: Measurement) -> float:
    """Return the distance from the difference high - low to the lower end of its interval."""
    return math.hypot(max(high.value - high.bounds[0], 0.0), max(low.bounds[1] - low.value, 0.0))


def _p_value(distance: float, reach: float) -> float:
    """Return the two-sided p value of a difference with a 95 % interval of this reach; 0 or 1 where it is known exactly."""
    if not reach:
        return float(distance == 0)
    return math.erfc(QUANTILE * distance / reach / math.sqrt(2))

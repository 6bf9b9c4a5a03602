"""Areas under the ROC and the precision-recall curve, with ties, standard errors and intervals."""

import math
from typing import Any

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.metrics.statistics.measurement import QUANTILE, Measurement, wilson


def auroc(
    normal: Tensor, anomalous: Tensor, protocol: dict[str, Any], groups: tuple[Tensor, Tensor] | None = None
) -> Measurement:
    """Return the probability that an anomalous score exceeds a normal one, ties counted half (Hanley & McNeil 1982).

    normal, anomalous: scores [n], [m]. The standard error is that of DeLong et al. (1988, eq. 4-5); with groups, int64 numbers
    of the image of each score ([n], [m]), it is that of clustered data (Obuchowski 1997, section 3): pixels of one image are
    dependent. The 95 % interval is that of the logit (Pepe 2003, section 5.2.5), which is within [0, 1]; an AUROC without an
    error, such as 1, has the interval of Newcombe (2006, method 5). Raises UsageError where a set is empty.
    """
    _require(normal, anomalous)
    first = _placements(anomalous, normal)  # of each anomalous score: share of normal scores below it
    second = 1 - _placements(normal, anomalous)
    value = first.mean()
    influence = torch.cat([(second - value) / len(normal), (first - value) / len(anomalous)])
    if groups is None:
        variance = sum(
            part.square().sum() * len(part) / max(len(part) - 1, 1) for part in influence.split([len(normal), len(anomalous)])
        )
        count, sizes = len(influence), (len(normal), len(anomalous))
    else:
        _, numbers = torch.unique(torch.cat(groups), return_inverse=True)
        count = int(numbers.max()) + 1
        summed = torch.zeros(count, dtype=torch.float64).index_add_(0, numbers, influence)
        variance = summed.square().sum() * count / max(count - 1, 1)
        sizes = (len(groups[0].unique()), len(groups[1].unique()))
    error = math.sqrt(float(variance))
    return Measurement(float(value), error, count, protocol, _interval(float(value), error, *sizes))


def _interval(value: float, error: float, normal: int, anomalous: int) -> tuple[float, float]:
    """Return the 95 % interval of an AUROC with a standard error, of these numbers of images."""
    if not error or not 0 < value < 1:
        return _end(value, 0.0, normal, anomalous), _end(value, 1.0, normal, anomalous)
    centre, reach = math.log(value / (1 - value)), QUANTILE * error / (value * (1 - value))
    return 1 / (1 + math.exp(reach - centre)), 1 / (1 + math.exp(-reach - centre))


def _end(value: float, limit: float, normal: int, anomalous: int) -> float:
    """Return the AUROC between value and limit that is 1.96 of its own standard errors from value (Newcombe 2006, method 5).

    Its standard error is that of Hanley & McNeil (1982) with (normal + anomalous) / 2 - 1 in place of both numbers less 1.
    """
    inner, outer, extra = value, limit, (normal + anomalous) / 2 - 1
    for _ in range(60):
        theta = (inner + outer) / 2
        factor = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        near = (theta - value) ** 2 <= QUANTILE**2 * theta * (1 - theta) * factor / (normal * anomalous)
        inner, outer = (theta, outer) if near else (inner, theta)
    return (inner + outer) / 2


def average_precision(normal: Tensor, anomalous: Tensor, protocol: dict[str, Any]) -> Measurement:
    """Return the area under the precision-recall curve as average precision: sum over thresholds of (R_k - R_{k-1}) P_k.

    A threshold is a distinct score, so that tied scores count as one. Interval: that of a proportion of as many trials as there
    are anomalies (Boyd, Eng & Page 2013, section 3.2), by Wilson's formula, which covers 1. It depends on the share of
    anomalies, which is its value for a random score. Raises UsageError where a set is empty.
    """
    _require(normal, anomalous)
    scores = torch.cat([normal, anomalous]).double()
    positive = torch.cat([torch.zeros(len(normal)), torch.ones(len(anomalous))]).double()
    ordered, order = scores.sort(descending=True)
    hits = positive[order].cumsum(0)
    last = torch.cat([(ordered[1:] != ordered[:-1]).nonzero()[:, 0], torch.tensor([len(ordered) - 1])])  # of each distinct score
    precision, recall = hits[last] / (last + 1), hits[last] / len(anomalous)
    steps = recall - torch.cat([recall.new_zeros(1), recall[:-1]])
    value = min(float((steps * precision).sum()), 1.0)
    share = {"random": len(anomalous) / len(scores), "error": "over anomalies"}
    return Measurement(value, None, len(scores), {**protocol, **share}, wilson(value, len(anomalous)))


def _placements(queries: Tensor, others: Tensor) -> Tensor:
    """Return for each query the share of the others that is smaller, ties counted half: float64."""
    ordered = others.double().sort().values
    below, through = (torch.searchsorted(ordered, queries.double(), right=right) for right in (False, True))
    return (below + through).double() / (2 * len(ordered))


def _require(normal: Tensor, anomalous: Tensor) -> None:
    if not len(normal) or not len(anomalous):
        raise UsageError(f"there are {len(normal)} normal and {len(anomalous)} anomalous scores, expected some of both")

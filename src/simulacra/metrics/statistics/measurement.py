"""Measurements: numbers with their error, sample size and protocol, and checks of sample sizes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from simulacra.core.errors import UsageError

_NEEDED = " are needed. "
QUANTILE = 1.959964  # of the standard normal distribution, for 95 %


@dataclass(frozen=True)
class Measurement:
    """A number with its standard error or its 95 % interval; neither where it is a count, or the value of a single image.

    scores: the values [n] of single images, where the number is their mean.
    """

    value: float
    standard_error: float | None
    n: int
    protocol: dict[str, Any] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    scores: Tensor | None = field(default=None, compare=False, repr=False)

    def table(self) -> dict[str, Any]:
        """Return the JSON object, without scores: `standard_error`, `interval` [low, high], or both."""
        error: dict[str, Any] = {} if self.interval is None else {"interval": list(self.interval)}
        if self.standard_error is not None or self.interval is None:
            error = {"standard_error": self.standard_error, **error}
        return {"value": self.value, **error, "n": self.n, "protocol": self.protocol}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "Measurement":
        """Return the measurement of a JSON object, the inverse of `table`."""
        ends = table.get("interval")
        interval = None if ends is None else (float(ends[0]), float(ends[1]))
        return cls(table["value"], table.get("standard_error"), table["n"], dict(table["protocol"]), interval)

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval, by the standard error where there is no other; the value twice for a count."""
        reach = QUANTILE * (self.standard_error or 0.0)
        return self.interval or (self.value - reach, self.value + reach)

    @property
    def text(self) -> str:
        """The value with its error or interval, rounded to two digits of the error.

        >>> Measurement(98.43217, 0.2412, 9).text, Measurement(16, None, 9).text
        ('98.43 ± 0.24', '16')
        >>> Measurement(0.9123, None, 9, interval=(0.8931, 0.9302)).text
        '0.912 (0.893 to 0.930)'
        """
        low, high = self.interval or (0.0, 0.0)
        if low < high:
            digits = _decimals((high - low) / 2)
            return f"{self.value:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
        if self.standard_error:
            digits = _decimals(self.standard_error)
            return f"{self.value:,.{digits}f} ± {self.standard_error:,.{digits}f}"
        return f"{self.value:,.6g}"

    def under(self, facts: Mapping[str, Any]) -> "Measurement":
        """Return the same number with more facts in its protocol, such as the extractor; existing facts are kept."""
        return replace(self, protocol={**facts, **self.protocol})


def _decimals(error: float) -> int:
    """Return the number of decimals for two digits of an error."""
    return next((digits for digits in range(9) if round(error, digits) * 10**digits >= 10), 9)


def mean_of(values: Tensor, protocol: dict[str, Any]) -> Measurement:
    """Return the mean of values [n] over images with its standard error, computed in float64; without one for a single image."""
    exact = values.double()
    error = exact.std().item() / math.sqrt(len(exact)) if len(exact) > 1 else None
    return Measurement(exact.mean().item(), error, len(exact), protocol, scores=exact)


def fraction_of(hits: Tensor, protocol: dict[str, Any]) -> Measurement:
    """Return the share of True in hits, bool [n], with its 95 % interval (Wilson 1927).

    Unlike value +- two standard errors, the interval is within [0, 1] and not empty where all or none are True.
    """
    share = hits.double().mean().item()
    return Measurement(share, None, len(hits), protocol, wilson(share, len(hits)), hits)


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return the 95 % score interval of a binomial proportion (Wilson 1927).

    >>> tuple(round(end, 4) for end in wilson(0.5, 10))
    (0.2366, 0.7634)
    """
    weight = QUANTILE**2 / count
    centre = (share + weight / 2) / (1 + weight)
    reach = QUANTILE / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def require(metric: str, what: str, count: int, least: int, remedy: str) -> None:
    """Raise UsageError where there are fewer than `least` samples; `remedy` completes the message.

    >>> require("kernel_distance", "generated images", 50, 100, "generate more")
    Traceback (most recent call last):
    simulacra.core.errors.UsageError: kernel_distance of 50 generated images: at least 100 are needed. Generate more
    """
    if reason := too_few(metric, what, count, least, remedy):
        raise UsageError(reason)


def too_few(metric: str, what: str, count: int, least: int, remedy: str) -> str:
    """Return why a metric does not apply to fewer than `least` samples; empty where there are enough.

    >>> too_few("knn", "images", 5, 10, "use --samples 10"), too_few("knn", "images", 10, 10, "")
    ('knn of 5 images: at least 10 are needed. Use --samples 10', '')
    """
    if count >= least:
        return ""
    return f"{metric} of {count:,} {what}: at least {least:,}{_NEEDED}{remedy[:1].upper()}{remedy[1:]}"


def is_too_few(reason: str) -> bool:
    """Return whether a reason is one of `too_few`."""
    return _NEEDED in reason


def flagged(count: int, enough: int, consequence: str) -> dict[str, Any]:
    """Return the note of a protocol on a sample that is too small, with its consequence; empty where it is large enough.

    >>> flagged(500, 1000, "noisy"), flagged(1000, 1000, "noisy")
    ({'few_samples': '500 of 1,000: noisy'}, {})
    """
    return {"few_samples": f"{count:,} of {enough:,}: {consequence}"} if count < enough else {}

"""A measured number, never without its error, its sample count and its protocol."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Measurement:
    """One metric's value; `standard_error` is None where the value is a count rather than a mean."""

    value: float
    standard_error: float | None
    n: int
    protocol: dict[str, Any] = field(default_factory=dict)

    def table(self) -> dict[str, Any]:
        """Return the object that stands in JSON."""
        return {"value": self.value, "standard_error": self.standard_error, "n": self.n, "protocol": self.protocol}


def mean_of(values: Tensor, protocol: dict[str, Any]) -> Measurement:
    """Return the mean over images of values [n], with its standard error, computed in float64."""
    exact = values.double()
    error = exact.std().item() / math.sqrt(len(exact)) if len(exact) > 1 else 0.0
    return Measurement(exact.mean().item(), error, len(exact), protocol)

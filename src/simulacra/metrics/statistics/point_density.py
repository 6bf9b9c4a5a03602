"""Points compared with a known density: modes covered, quality, cross-entropy."""

from typing import Any

import numpy as np
import torch

from simulacra.data.synthetic.known_densities import KnownDensity, Points, cells
from simulacra.metrics.statistics.class_shares import class_kl
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of, mean_of, require

_NEAR = 3.0  # standard deviations from the nearest centre (Srivastava et al. 2017, section 4.1; Lin et al. 2018, section 4.1)
_SHARE = 0.1  # of the share of a mode, above which it counts as covered
_LEAST, _ENOUGH = 10, 100  # points per mode


def compare_with_density(points: Points, real: Points, density: KnownDensity) -> dict[str, Measurement]:
    """Return all numbers of generated points [n 2], with real points for the shares of the modes.

    Raises UsageError below 10 points per mode.
    """
    count = len(density.shares)
    found = {
        "modes_covered": modes_covered(points, density),
        "high_quality_share": high_quality_share(points, density),
        "class_kl": class_kl(torch.from_numpy(density.nearest(points)[0]), torch.from_numpy(density.nearest(real)[0]), count),
        "cross_entropy_nats": cross_entropy(points, density),
    }
    found = {name: item.under({"generated": "rounded to 256 levels"}) for name, item in found.items()}
    found["entropy_nats"] = Measurement(density.entropy_nats, None, len(cells()), {"sum": "over all cells"})
    return {name: item.under({"density": density.name}) for name, item in found.items()}


def modes_covered(points: Points, density: KnownDensity) -> Measurement:
    """Return modes_covered: the number of modes whose share of nearby points is at least a tenth of their probability.

    Nearby means within 3 standard deviations of the nearest centre. The threshold is a tenth because uniformly distributed points
    put some near each mode; the number of modes with at least one point, the count of Lin et al. (2018), is `with_any` in the
    protocol. A count, without a standard error. Raises UsageError below 10 points per mode.
    """
    count = len(density.shares)
    remedy = f"use at least {_LEAST} for each of the {count} modes"
    require("modes_covered", "generated points", len(points), _LEAST * count, remedy)
    modes, distances = density.nearest(points)
    shares = np.bincount(modes[distances <= _NEAR], minlength=count) / len(points)
    protocol: dict[str, Any] = {"of": count, "near": f"{_NEAR:g} sigma", "covered": f"at least {_SHARE:.0%} of its share"}
    few = flagged(len(points), _ENOUGH * count, "a mode can be missed by chance")
    value = int((shares >= _SHARE * density.shares).sum())
    return Measurement(value, None, len(points), {**protocol, "with_any": int((shares > 0).sum()), **few})


def high_quality_share(points: Points, density: KnownDensity) -> Measurement:
    """Return high_quality_share: the share of points within 3 standard deviations of the nearest centre.

    `expected_for_equal_distributions` in the protocol is that of the density itself, summed over cells; a larger share means a
    distribution that is too narrow.
    """
    _, distances = density.nearest(points)
    every = cells()
    expected = float(density.probabilities.ravel()[density.nearest(every)[1] <= _NEAR].sum())
    protocol = {"near": f"{_NEAR:g} sigma", "expected_for_equal_distributions": expected}
    return fraction_of(torch.from_numpy(distances <= _NEAR), protocol)


def cross_entropy(points: Points, density: KnownDensity) -> Measurement:
    """Return cross_entropy_nats: the mean of -log p of generated points under the density of the data.

    `expected_for_equal_distributions` in the protocol is the entropy. A larger value means points in improbable places; a smaller
    one, points concentrated where the density is highest. A few distant points can dominate the mean, since -log p grows with the
    squared distance.
    """
    scores = torch.from_numpy(-density.log_probability(points))
    return mean_of(scores, {"target": "256 grey levels, exact", "expected_for_equal_distributions": density.entropy_nats})

"""Generated points against the law of the data, where it is known: which modes they reach, and how probable they are."""

from typing import Any

import numpy as np
import torch

from simulacra.data.synthetic.known_densities import KnownDensity, Points, cells
from simulacra.metrics.class_histogram import class_kl
from simulacra.metrics.measurement import Measurement, fraction_of, mean_of
from simulacra.metrics.statistics.sample_size import flagged, require

_NEAR = 3.0  # standard deviations from the nearest centre (Srivastava et al. 2017, section 4.1; Lin et al. 2018, section 4.1)
_SHARE = 0.1  # of a mode's share that counts as reached
_LEAST, _ENOUGH = 10, 100  # points a mode


def known_law(points: Points, real: Points, law: KnownDensity) -> dict[str, Measurement]:
    """Measure all of it for generated points [n 2], given real ones for the shares of the modes. Raises UsageError for few."""
    count = len(law.shares)
    found = {
        "modes_covered": modes_covered(points, law),
        "high_quality_share": high_quality_share(points, law),
        "class_kl": class_kl(torch.from_numpy(law.nearest(points)[0]), torch.from_numpy(law.nearest(real)[0]), count),
        "cross_entropy_nats": cross_entropy(points, law),
    }
    found = {name: item.under({"generated": "rounded to 256 levels"}) for name, item in found.items()}
    found["entropy_nats"] = Measurement(law.entropy_nats, None, len(cells()), {"sum": "over all cells"})
    return {name: item.under({"law": law.name}) for name, item in found.items()}


def modes_covered(points: Points, law: KnownDensity) -> Measurement:
    """Measure modes_covered: modes with at least a tenth of their share of the points near them. Larger is better.

    Near is within 3 standard deviations of the nearest centre. A tenth of the share, because points spread evenly over the
    square put some near every mode; how many have any point at all, which is what Lin et al. (2018) count, stands in the protocol
    as `with_any`. A count, without a standard error. Raises UsageError below 10 points a mode.
    """
    count = len(law.shares)
    require("modes_covered", "generated points", len(points), _LEAST * count, f"take {_LEAST} for each of the {count} modes")
    modes, distances = law.nearest(points)
    shares = np.bincount(modes[distances <= _NEAR], minlength=count) / len(points)
    protocol: dict[str, Any] = {"of": count, "near": f"{_NEAR:g} sigma", "reached": f"{_SHARE:.0%} of its share"}
    few = flagged(len(points), _ENOUGH * count, "a mode can be missed by chance")
    value = int((shares >= _SHARE * law.shares).sum())
    return Measurement(value, None, len(points), {**protocol, "with_any": int((shares > 0).sum()), **few})


def high_quality_share(points: Points, law: KnownDensity) -> Measurement:
    """Measure high_quality_share: the share of points within 3 standard deviations of the nearest centre. Larger is better.

    `same_law` in the protocol is the share of the law itself, summed over cells: more than that is too narrow.
    """
    _, distances = law.nearest(points)
    every = cells()
    usual = float(law.probabilities.ravel()[law.nearest(every)[1] <= _NEAR].sum())
    return fraction_of(torch.from_numpy(distances <= _NEAR), {"near": f"{_NEAR:g} sigma", "same_law": usual})


def cross_entropy(points: Points, law: KnownDensity) -> Measurement:
    """Measure cross_entropy_nats: the mean of -log p of generated points under the law of the data.

    `same_law` in the protocol is the entropy, which points of that law have on average. More means points in improbable places;
    less, points crowded where the law is densest. A few far points can dominate: -log p grows with the distance squared.
    """
    scores = torch.from_numpy(-law.log_probability(points))
    return mean_of(scores, {"target": "256 grey levels, exact", "same_law": law.entropy_nats})

"""Precision, recall, density and coverage: estimates of the supports of two sets by balls around their points."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.metrics.statistics.distances import BLOCK, Cloud, blocks, clouds, nearest, squares, within
from simulacra.metrics.statistics.feature_matrix import Features, same_dimensions
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of, mean_of, require

NEIGHBOURS = 5
LEAST = 20 * NEIGHBOURS
"""The number of images of either set, at least, for as many neighbours."""
_USUAL = 10_000


def neighbourhoods(
    generated: Features, reference: Features, meter: Meter, *, neighbours: int = NEIGHBOURS, block: int = BLOCK
) -> dict[str, Measurement]:
    """Return precision, recall (Kynkaanniemi et al. 2019, eq. 1-2), density and coverage (Naeem et al. 2020, section 3).

    The closed ball of an image extends to its k-th nearest neighbour in its own set, excluding itself.

    - precision: share of generated images that are in the ball of at least one real image;
    - recall: share of real images that are in the ball of at least one generated image;
    - density: number of real balls that contain a generated image, divided by k, mean over generated images;
    - coverage: share of real images whose ball contains at least one generated image.

    Density can exceed 1. Intervals and standard errors cover the images that are counted (generated images for precision and
    density, real images for recall and coverage) with the balls fixed: new samples of both sets vary more. The meter counts
    2 m + n images for m generated and n real ones. Raises UsageError below 20 k images in either set.
    """
    first, second = same_dimensions(generated, reference)
    for what, rows in (("generated images", first), ("real images", second)):
        require("precision, recall, density and coverage", what, len(rows), 20 * neighbours, "use more")
    fakes, reals = (
        _Balls(points, nearest(points, points, neighbours, meter, same=True, block=block)[0][:, -1])
        for points in clouds(first, second)
    )
    holders, recalled, covered = _memberships(fakes, reals, meter, block)
    protocol: dict[str, Any] = {"k": neighbours, "generated_n": len(first), "reference_n": len(second)}
    dependence = "values depend on the sample size; compare equal sizes, and with real_against_real"
    protocol |= flagged(min(len(first), len(second)), _USUAL, dependence)
    of_fakes, of_reals = ({**protocol, "error": f"over {kind} images, balls fixed"} for kind in ("generated", "real"))
    expected = expected_coverage(len(second), len(first), neighbours)
    return {
        "precision": fraction_of(holders > 0, of_fakes),
        "recall": fraction_of(recalled, of_reals),
        "density": mean_of(holders.double() / neighbours, {**of_fakes, "expected_for_equal_distributions": 1.0}),
        "coverage": fraction_of(covered, {**of_reals, "expected_for_equal_distributions": expected}),
    }


def with_floors(measured: dict[str, Measurement], real: dict[str, Measurement]) -> dict[str, Measurement]:
    """Return measurements with the value of as many real training images, `real_against_real`, in their protocols."""
    floors = {name: {"real_against_real": item.value} for name, item in real.items()}
    return {name: replace(item, protocol=item.protocol | floors[name]) for name, item in measured.items()}


def expected_coverage(real: int, generated: int, neighbours: int) -> float:
    """Return the expected coverage for equal distributions: 1 - prod_i=1..k (N - i) / (N + M - i) (Naeem et al. 2020, lemma 2).

    >>> round(expected_coverage(10_000, 10_000, 5), 3)
    0.969
    """
    return 1 - math.prod((real - i) / (real + generated - i) for i in range(1, neighbours + 1))


@dataclass(frozen=True)
class _Balls:
    """Points [n d] and the radii [n] of their balls."""

    points: Cloud
    radii: Tensor


def _memberships(fakes: _Balls, reals: _Balls, meter: Meter, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return three counts by pairwise distances.

    Number of real balls that contain each generated image [m], whether each real image is in the ball of a generated one [n], and
    whether the ball of each real image contains a generated one [n].
    """
    holders = torch.empty(len(fakes.points), dtype=torch.int64, device=fakes.radii.device)
    recalled, covered = (torch.zeros(len(reals.points), dtype=torch.bool, device=reals.radii.device) for _ in range(2))
    for start, part in blocks(fakes.points, len(reals.points), block):
        found = squares(part, reals.points)
        in_real = within(part, reals.points, found, reals.radii)
        holders[start : start + len(part)] = in_real.count_nonzero(1)
        covered |= in_real.any(0)
        recalled |= within(part, reals.points, found, fakes.radii[start : start + len(part), None]).any(0)
        meter.advance(len(part))
    return holders, recalled, covered

"""Precision, recall, density and coverage: which images lie among those of the other kind, by nearest neighbours."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.metrics.measurement import Measurement, fraction_of, mean_of
from simulacra.metrics.statistics.distances import BLOCK, Cloud, blocks, clouds, nearest, squares, within
from simulacra.metrics.statistics.feature_matrix import Features, alike
from simulacra.metrics.statistics.sample_size import flagged, require

NEIGHBOURS = 5
_USUAL = 10_000


def neighbourhoods(
    generated: Features, reference: Features, meter: Meter, *, neighbours: int = NEIGHBOURS, block: int = BLOCK
) -> dict[str, Measurement]:
    """Measure precision, recall (Kynkaanniemi et al. 2019, eq. 1-2), density and coverage (Naeem et al. 2020, section 3).

    The ball of an image reaches to its k-th nearest neighbour of its own kind, itself not counted, and is closed.

    - precision: share of generated images in the ball of some real one;
    - recall: share of real images in the ball of some generated one;
    - density: number of real balls that a generated image is in, over k, mean over generated images;
    - coverage: share of real images whose ball holds some generated one.

    Larger is better; density may pass 1. Intervals and errors cover the images counted (generated ones for precision and density,
    real ones for recall and coverage), and take the balls as given: new draws of both sets spread more. The meter counts 2 m + n
    images of m generated, n real.
    Raises UsageError below 20 k images on either side.
    """
    first, second = alike(generated, reference)
    for what, rows in (("generated images", first), ("real images", second)):
        require("precision and its kin", what, len(rows), 20 * neighbours, "take more")
    fakes, reals = (_balls(points, neighbours, meter, block) for points in clouds(first, second))
    holders, recalled, covered = _memberships(fakes, reals, meter, block)
    protocol: dict[str, Any] = {"k": neighbours, "generated_n": len(first), "reference_n": len(second)}
    protocol |= flagged(
        min(len(first), len(second)), _USUAL, "balls are wide; compare with as many of either, and with the floor"
    )
    of_fakes, of_reals = (
        {**protocol, "error": "over generated images, balls given"},
        {**protocol, "error": "over real images, balls given"},
    )
    expected = expected_coverage(len(second), len(first), neighbours)
    return {
        "precision": fraction_of(holders > 0, of_fakes),
        "recall": fraction_of(recalled, of_reals),
        "density": mean_of(holders.double() / neighbours, {**of_fakes, "same_law": 1.0}),
        "coverage": fraction_of(covered, {**of_reals, "same_law": expected}),
    }


def with_floors(measured: dict[str, Measurement], real: dict[str, Measurement]) -> dict[str, Measurement]:
    """Return measurements whose protocols say what as many real training images reach in the place of the generated ones."""
    floors = {name: {"real_against_real": item.value} for name, item in real.items()}
    return {name: replace(item, protocol=item.protocol | floors[name]) for name, item in measured.items()}


def expected_coverage(real: int, generated: int, neighbours: int) -> float:
    """Return the mean coverage where both follow one law: 1 - prod_i=1..k (N - i) / (N + M - i) (Naeem et al. 2020, lemma 2).

    >>> round(expected_coverage(10_000, 10_000, 5), 3)
    0.969
    """
    return 1 - math.prod((real - i) / (real + generated - i) for i in range(1, neighbours + 1))


@dataclass(frozen=True)
class _Balls:
    """Points [n d], and the radius [n] of the ball of each."""

    points: Cloud
    radii: Tensor


def _balls(points: Cloud, neighbours: int, meter: Meter, block: int) -> _Balls:
    distances, _ = nearest(points, points, neighbours, meter, same=True, block=block)
    return _Balls(points, distances[:, -1])


def _memberships(fakes: _Balls, reals: _Balls, meter: Meter, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many real balls hold each fake [m], which reals are in the ball of a fake [n], whose ball holds a fake [n]."""
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

"""Precision, recall, density and coverage: estimates of the supports of two sets by balls around their points."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.metrics.statistics.distances import BLOCK, Cloud, blocks, clouds, exact, nearest, squares, within
from simulacra.metrics.statistics.feature_matrix import Features, same_dimensions
from simulacra.metrics.statistics.half_samples import SPLITS, halves, mean_count_interval, share_interval
from simulacra.metrics.statistics.measurement import Measurement, flagged, require

NEIGHBOURS = 5
_CANDIDATES = 8  # times k: neighbours among which those of a half are found
LEAST = 20 * NEIGHBOURS
"""The number of images of either set, at least, for as many neighbours."""
_USUAL = 10_000
_PAIRS = 2**15  # pairs of points whose distances are computed at once


def neighbourhoods(
    generated: Features, reference: Features, meter: Meter, *, neighbours: int = NEIGHBOURS, block: int = BLOCK
) -> dict[str, Measurement]:
    """Return precision, recall (Kynkaanniemi et al. 2019, eq. 1-2), density and coverage (Naeem et al. 2020, section 3).

    The closed ball of an image extends to its k-th nearest neighbour in its own set, excluding itself.

    - precision: share of generated images that are in the ball of at least one real image;
    - recall: share of real images that are in the ball of at least one generated image;
    - density: number of real balls that contain a generated image, divided by k, mean over generated images;
    - coverage: share of real images whose ball contains at least one generated image.

    Density can exceed 1. Intervals cover both sets, balls included: they are those of the values in 20 pairs of random halves of
    both sets (`half_samples`). Leaving out few images in turn, as the jackknife does, gives errors that are too large by a factor
    of up to 2, since statistics of a few neighbours are not smooth. Of shares, the interval is Wilson's (1927) for an effective
    sample size. The meter counts 2 (m + n) images for m generated and n real ones. Raises UsageError below 20 k images in either
    set.
    """
    first, second = same_dimensions(generated, reference)
    for what, rows in (("generated images", first), ("real images", second)):
        require("precision, recall, density and coverage", what, len(rows), 20 * neighbours, "use more")
    fakes, reals = (_balls(points, neighbours, meter, block) for points in clouds(first, second))
    in_real, in_fake = _memberships(fakes, reals, meter, block), _memberships(reals, fakes, meter, block)
    protocol: dict[str, Any] = {"k": neighbours, "generated_n": len(first), "reference_n": len(second), "error": _ERROR}
    dependence = "values depend on the sample size; compare equal sizes, and with real_against_real"
    protocol |= flagged(min(len(first), len(second)), _USUAL, dependence)
    expected = expected_coverage(len(second), len(first), neighbours)
    density, densities = in_real.density(neighbours)

    def share(found: tuple[float, Tensor], count: int, facts: dict[str, Any]) -> Measurement:
        return Measurement(found[0], None, count, facts, share_interval(found[0], count, found[1]))

    return {
        "precision": share(in_real.points_inside(), len(first), protocol),
        "recall": share(in_fake.points_inside(), len(second), protocol),
        "density": Measurement(density, None, len(first), protocol | {_EXPECTED: 1.0}, mean_count_interval(density, densities)),
        "coverage": share(in_real.balls_reached(), len(second), protocol | {_EXPECTED: expected}),
    }


_EXPECTED = "expected_for_equal_distributions"
_ERROR = f"both sets, {SPLITS} half samples"


def with_floors(measured: dict[str, Measurement], real: dict[str, Measurement]) -> dict[str, Measurement]:
    """Return measurements with the value of as many real images, `real_against_real`, in their protocols."""
    floors = {name: {"real_against_real": item.value} for name, item in real.items()}
    return {name: replace(item, protocol=item.protocol | floors[name]) for name, item in measured.items()}


def expected_coverage(real: int, generated: int, neighbours: int) -> float:
    """Return the expected coverage for equal distributions: 1 - prod_i=1..k (N - i) / (N + M - i) (Naeem et al. 2020, lemma 2).

    >>> round(expected_coverage(10_000, 10_000, 5), 3)
    0.969
    """
    return 1 - math.prod((real - i) / (real + generated - i) for i in range(1, neighbours + 1))


# --- balls, of all points and of halves


@dataclass(frozen=True)
class _Balls:
    """Points [n d] and the radii of their balls: among all points [n], and among the points of each half [n h].

    members: float32 [n h], 1 where a point is in a half.
    """

    points: Cloud
    radii: Tensor
    half_radii: Tensor
    members: Tensor


def _balls(points: Cloud, neighbours: int, meter: Meter, block: int) -> _Balls:
    """Return the balls to the k-th neighbour, among all points and among those of each half.

    The k-th neighbour of a half is looked for among the 8 k nearest points. That fewer than k of them are in the half has a
    probability of 9e-8 for k = 5; then the farthest one is used.
    """
    candidates = min(_CANDIDATES * neighbours, len(points) - 1)
    distances, positions = nearest(points, points, candidates, meter, same=True, block=block)
    members = halves(len(points)).to(positions.device)
    ranks = [(members[positions, half].cumsum(1) < neighbours).sum(1) for half in range(members.shape[1])]
    half_radii = distances.gather(1, torch.stack(ranks, 1).clamp_max(candidates - 1))
    return _Balls(points, distances[:, neighbours - 1], half_radii, members)


# --- which points are in which balls


@dataclass(frozen=True)
class _Memberships:
    """Which of m points are in which of n balls.

    balls: int64 [m], the number of balls that contain each point; reached: bool [n], whether a ball contains a point. half_balls:
    float32 [m h], half_points: [n h]: the number of balls of each half that contain a point, and of points of each half in a
    ball, where the radii of balls are those in the half. Points and balls of the same number of a half are compared.
    """

    balls: Tensor
    reached: Tensor
    half_balls: Tensor
    half_points: Tensor
    point_members: Tensor
    ball_members: Tensor

    def points_inside(self) -> tuple[float, Tensor]:
        """Return the share of points in at least one ball, of all and in each half [h]."""
        return (self.balls > 0).double().mean().item(), _means(self.half_balls > 0, self.point_members)

    def density(self, neighbours: int) -> tuple[float, Tensor]:
        """Return the number of balls that contain a point, divided by k, mean over points, of all and in each half [h]."""
        return self.balls.double().mean().item() / neighbours, _means(self.half_balls, self.point_members) / neighbours

    def balls_reached(self) -> tuple[float, Tensor]:
        """Return the share of balls that contain at least one point, of all and in each half [h]."""
        return self.reached.double().mean().item(), _means(self.half_points > 0, self.ball_members)


def _means(values: Tensor, members: Tensor) -> Tensor:
    """Return the mean of values [n h] over the members of each half: float64 [h]."""
    return (values * members).sum(0, dtype=torch.float64) / members.sum(0, dtype=torch.float64)


def _memberships(points: _Balls, balls: _Balls, meter: Meter, block: int) -> _Memberships:
    """Return the memberships of points in balls, by pairwise distances. The meter counts points."""
    holders = torch.empty(len(points.points), dtype=torch.int64, device=points.radii.device)
    reached = torch.zeros(len(balls.points), dtype=torch.bool, device=points.radii.device)
    half_balls, half_points = torch.empty_like(points.members), torch.zeros_like(balls.members)
    widest = balls.half_radii.max(1).values
    for start, part in blocks(points.points, len(balls.points), block):
        rows = slice(start, start + len(part))
        found = squares(part, balls.points)
        inside = within(part, balls.points, found, balls.radii)
        holders[rows] = inside.count_nonzero(1)
        reached |= inside.any(0)
        shell = within(part, balls.points, found, widest).logical_and_(~inside)
        contained = inside.float()
        half_balls[rows] = contained @ balls.members
        half_points += contained.T @ points.members[rows]
        for pairs in shell.nonzero().split(_PAIRS):
            queries, centres = pairs.unbind(1)
            distances = exact(part.points[queries], balls.points.points[centres])
            inner = (distances[:, None] <= balls.half_radii[centres]).float()
            half_balls.index_add_(0, start + queries, inner * balls.members[centres])
            half_points.index_add_(0, centres, inner * points.members[start + queries])
        meter.advance(len(part))
    return _Memberships(holders, reached, half_balls, half_points, points.members, balls.members)

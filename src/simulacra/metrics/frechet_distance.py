"""Fréchet distance of features: how far two sets of images are apart, as two normal distributions (Heusel et al. 2017)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.progress import Meter
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.statistics.feature_matrix import Features, some
from simulacra.metrics.statistics.moments import BLOCKS, BlockedMoments, Moments, blocked_moments
from simulacra.metrics.statistics.sample_size import flagged, require

REPLICATES = 2 * BLOCKS  # what the meter of frechet_distance counts
_LEAST = 100
_ROWS_A_DIMENSION = 10  # below, the bias is a good part of the number


def frechet_distance(generated: BlockedMoments, reference: BlockedMoments, meter: Meter) -> Measurement:
    """Measure frechet_distance: the squared distance of two normal distributions (Dowson & Landau 1982). Smaller is better.

    The standard error is the jackknife's, over 20 blocks left out in turn from either set (Tukey 1958; for two sets, Arvesen
    1969). It covers both draws of images at these counts, and its square is too large rather than too small on average, also
    where both sets follow one law and the distance is no longer linear in them (Efron & Stein 1981). It does not cover the bias:
    the number is too large by about a constant over n. The jackknife's estimate of that (Quenouille 1956) stands in the protocol
    as `bias`, and the number without it as `extrapolated`: the limit n -> infinity, under the model that FID-infinity has
    (Chong & Forsyth 2020). Raises UsageError where there are not more images than dimensions, or fewer than 100.
    """
    dimensions = reference.dimensions
    if generated.dimensions != dimensions:
        raise UsageError(f"features of {generated.dimensions} and of {dimensions} dimensions: take both from the same extractor")
    for what, side in (("generated images", generated), ("real images", reference)):
        remedy = f"take more, or features of fewer dimensions: the covariance of {dimensions} is singular below that"
        require("frechet_distance", what, side.count, max(_LEAST, dimensions + 1), remedy)
    first, second = _Normal(generated.total()), _Normal(reference.total())
    value = _distance(first, second)
    without_generated = [_distance(_Normal(left), second) for left in _replicates(generated, first, meter)]
    without_reference = [_distance(_Normal(left), first) for left in _replicates(reference, second, meter)]
    variance = _variance(without_generated) + _variance(without_reference)
    bias = _bias(without_generated, value) + _bias(without_reference, value)
    protocol: dict[str, Any] = {
        "dimensions": dimensions,
        "reference_n": reference.count,
        "error": f"jackknife, {BLOCKS} blocks of either set",
        "bias": bias,
        "extrapolated": value - bias,
    }
    expected = expected_at_equality(second.moments.covariance, generated.count, reference.count)
    fewest = min(generated.count, reference.count)
    protocol |= flagged(fewest, _ROWS_A_DIMENSION * dimensions, f"too large by about {max(bias, expected):.3g}")
    return Measurement(max(value, 0.0), variance**0.5, generated.count, protocol)


def frechet_floor(train: Features, reference: BlockedMoments, count: int, seed: int, meter: Meter) -> Measurement:
    """Measure frechet_floor: real training images against the reference, as many as were generated. What a perfect model reaches.

    The training images are drawn without replacement, from the seed. Raises UsageError where there are fewer than `count`.
    """
    drawn = blocked_moments(some(train, count, seed, "frechet_floor"))
    measured = frechet_distance(drawn, reference, meter)
    return replace(measured, protocol={"of": "training images", "seed": seed, **measured.protocol})


def frechet(first: Moments, second: Moments) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), 0 or more, of any moments, singular ones too."""
    return max(_distance(_Normal(first), _Normal(second)), 0.0)


def expected_at_equality(covariance: Tensor, first: int, second: int) -> float:
    """Return what two sets of n1 and n2 normal draws with one covariance [d d] measure on average, to first order in 1/n.

    (1/n1 + 1/n2) (sum_i l_i + sum_ij (1 + d_ij) l_i l_j / (2 (l_i + l_j))) with the eigenvalues l: the sampling variance of the
    mean, and that of the covariance in the quadratic approximation of the distance at equality, 1/2 sum_ij D_ij^2 / (l_i + l_j).
    For the identity it is (1/n1 + 1/n2) (d + d(d + 1)/4).
    """
    values = torch.linalg.eigvalsh(covariance.double()).clamp_min(0)
    sums = values[:, None] + values
    terms = torch.where(sums > 0, torch.outer(values, values) / (2 * sums), 0)
    return (1 / first + 1 / second) * (values.sum() + terms.sum() + terms.diagonal().sum()).item()


@dataclass(frozen=True)
class _Normal:
    """A normal distribution; the root of its covariance is computed once, where it is needed."""

    moments: Moments

    @cached_property
    def root(self) -> Tensor:
        values, vectors = torch.linalg.eigh(self.moments.covariance)
        return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def _distance(first: _Normal, second: _Normal) -> float:
    """Return the squared distance. S2^1/2 S1 S2^1/2 is symmetric, so its eigenvalues are real: those of S1 S2 (trap 18)."""
    a, b = first.moments, second.moments
    product = second.root @ a.covariance @ second.root
    overlap = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
    return (((a.mean - b.mean) ** 2).sum() + a.covariance.trace() + b.covariance.trace() - 2 * overlap).item()


def _replicates(side: BlockedMoments, whole: _Normal, meter: Meter) -> Iterator[Moments]:
    """Yield the moments of a set without each of its blocks."""
    for block in side.blocks:
        yield whole.moments.without(block)
        meter.advance()


def _variance(replicates: list[float]) -> float:
    values = torch.tensor(replicates, dtype=torch.float64)
    return (len(values) - 1) * values.var(correction=0).item()


def _bias(replicates: list[float], value: float) -> float:
    return (len(replicates) - 1) * (sum(replicates) / len(replicates) - value)

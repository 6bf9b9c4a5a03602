"""Fréchet distance of two normal distributions (Dowson & Landau 1982), with its standard error, bias and floor."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.progress import Meter
from simulacra.metrics.statistics.feature_matrix import Features, random_rows
from simulacra.metrics.statistics.measurement import Measurement, flagged, require
from simulacra.metrics.statistics.moments import BLOCKS, BlockedMoments, Moments, blocked_moments

REPLICATES = 2 * BLOCKS  # replicates of the jackknife, which the meter of frechet_distance counts
_LEAST = 100
_ROWS_PER_DIMENSION = 10  # below this ratio, the bias is a large part of the distance


def frechet_distance(generated: BlockedMoments, reference: BlockedMoments, meter: Meter) -> Measurement:
    """Return frechet_distance: the squared Fréchet distance of two normal distributions (Dowson & Landau 1982).

    The standard error is that of the jackknife over 20 blocks left out in turn from either set (Tukey 1958; for two sets,
    Arvesen 1969). It covers both samples of images at these sizes. Its square is conservative on average, also where both sets
    have equal distributions and the distance is not linear in them (Efron & Stein 1981). It does not cover the bias, which is
    positive and proportional to 1/n. The protocol contains the jackknife's estimate of the bias (Quenouille 1956) as `bias`, and
    the distance without it as `extrapolated`: the limit n -> infinity, under the model of FID-infinity (Chong & Forsyth 2020).
    Raises UsageError for fewer than 100 images, or unless there are more images than dimensions.
    """
    dimensions = reference.dimensions
    if generated.dimensions != dimensions:
        got = f"{generated.dimensions} and {dimensions} dimensions"
        raise UsageError(f"features have {got}, expected equal numbers: use one extractor")
    remedy = (
        f"use more, or features of fewer dimensions: with fewer images, the covariance of {dimensions} dimensions is singular"
    )
    for what, side in (("generated images", generated), ("real images", reference)):
        require("frechet_distance", what, side.count, least_images(dimensions), remedy)
    first, second = _Normal(generated.total()), _Normal(reference.total())
    value = _distance(first, second)
    without_generated = [_distance(_Normal(left), second) for left in _replicates(generated, first, meter)]
    without_reference = [_distance(_Normal(left), first) for left in _replicates(reference, second, meter)]
    variance = _variance(without_generated) + _variance(without_reference)
    bias = _bias(without_generated, value) + _bias(without_reference, value)
    sizes = {"dimensions": dimensions, "reference_n": reference.count, "error": f"jackknife, {BLOCKS} blocks of either set"}
    protocol = {**sizes, "bias": bias, "extrapolated": value - bias}
    expected = expected_at_equality(second.moments.covariance, generated.count, reference.count)
    fewest = min(generated.count, reference.count)
    protocol |= flagged(fewest, _ROWS_PER_DIMENSION * dimensions, f"too large by about {max(bias, expected):.3g}")
    return Measurement(max(value, 0.0), variance**0.5, generated.count, protocol)


def least_images(dimensions: int) -> int:
    """Return the number of images of either set, at least: 100, and more than there are dimensions."""
    return max(_LEAST, dimensions + 1)


def frechet_floor(real: Features, reference: BlockedMoments, count: int, seed: int, meter: Meter) -> Measurement:
    """Return frechet_floor: the distance of other real images to the reference, with as many images as were generated.

    It is the distance of a model whose distribution equals that of the data. The images are drawn without replacement, depending
    on the seed. Raises UsageError where there are fewer than `count`.
    """
    drawn = blocked_moments(random_rows(real, count, seed, "frechet_floor"))
    measured = frechet_distance(drawn, reference, meter)
    return replace(measured, protocol={"seed": seed, **measured.protocol})


def frechet(first: Moments, second: Moments) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), 0 at least 0, also for singular covariances."""
    return max(_distance(_Normal(first), _Normal(second)), 0.0)


def expected_at_equality(covariance: Tensor, first: int, second: int) -> float:
    """Return the expected distance of two samples of sizes n1 and n2 from one normal distribution, to first order in 1/n.

    (1/n1 + 1/n2) (sum_i l_i + sum_ij (1 + d_ij) l_i l_j / (2 (l_i + l_j))) with the eigenvalues l of the covariance [d d]: the
    sampling variance of the mean, and that of the covariance in the quadratic approximation of the distance at equality,
    1/2 sum_ij D_ij^2 / (l_i + l_j). For the identity it is (1/n1 + 1/n2) (d + d(d + 1)/4).
    """
    values = torch.linalg.eigvalsh(covariance.double()).clamp_min(0)
    sums = values[:, None] + values
    terms = torch.where(sums > 0, torch.outer(values, values) / (2 * sums), 0)
    return (1 / first + 1 / second) * (values.sum() + terms.sum() + terms.diagonal().sum()).item()


@dataclass(frozen=True)
class _Normal:
    """A normal distribution; the square root of its covariance is computed once, when it is first used."""

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
    """Yield the moments of a set with each of its blocks left out in turn."""
    for block in side.blocks:
        yield whole.moments.without(block)
        meter.advance()


def _variance(replicates: list[float]) -> float:
    return (len(replicates) - 1) * torch.tensor(replicates, dtype=torch.float64).var(correction=0).item()


def _bias(replicates: list[float], value: float) -> float:
    return (len(replicates) - 1) * (sum(replicates) / len(replicates) - value)


def frechet_ratio(distance: Measurement, floor: Measurement) -> Measurement:
    """Return a Fréchet distance divided by its floor, with the standard error of the distance alone."""
    error = None if distance.standard_error is None else distance.standard_error / floor.value
    facts = {name: distance.protocol[name] for name in ("dimensions", "reference_n")}
    return Measurement(distance.value / floor.value, error, distance.n, {**facts, "error": "of the distance, floor given"})

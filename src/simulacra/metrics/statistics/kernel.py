"""Squared maximum mean discrepancy with a cubic kernel, over random subsets."""

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.core.randomness import permutation
from simulacra.metrics.statistics.feature_matrix import Features, same_dimensions
from simulacra.metrics.statistics.measurement import Measurement, flagged, require

SUBSETS = 100
_SUBSET = 1000
LEAST = 100


def kernel_distance(generated: Features, reference: Features, seed: int, meter: Meter) -> Measurement:
    """Return kernel_distance: the squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, mean over subsets of 1,000.

    Unbiased, hence sometimes negative. In each round, both sets are shuffled and divided into disjoint subsets, as many as
    possible; rounds are added until there are 100 subsets, which the meter counts. Subsets of different rounds overlap, so their
    standard deviation divided by the root of their number is not a standard error. Within a round they are independent: the
    variance of the mean of a round is estimated without bias from its subsets and averaged over rounds. The mean over rounds
    varies at most as much, so the standard error is right or too large. It covers both samples of images. Below 2,000 images a
    subset is half of them, which reduces precision but adds no bias. Raises UsageError below 100 images in either set.
    """
    first, second = same_dimensions(generated, reference)
    for what, rows in (("generated images", first), ("real images", second)):
        require("kernel_distance", what, len(rows), LEAST, "use more")
    fewest = min(len(first), len(second))
    size = min(_SUBSET, fewest // 2)
    width = fewest // size
    rounds = []
    for number in range(-(-SUBSETS // width)):
        left = _subsets(first, (width, size), seed, "generated", number)
        right = _subsets(second, (width, size), seed, "real", number)
        rounds.append([discrepancy(a, b) for a, b in zip(left, right, strict=True)])
        meter.advance(width)
    values = torch.tensor(rounds, dtype=torch.float64)
    error = (values.var(1).mean() / width).sqrt().item()
    sizes = {"subsets": values.numel(), "subset_size": size, "reference_n": len(second)}
    protocol = {"kernel": "(x.y / d + 1)^3", **sizes, "seed": seed, "error": f"{width} disjoint subsets per round"}
    return Measurement(values.mean().item(), error, len(first), protocol | flagged(fewest, 2 * _SUBSET, "high variance, no bias"))


def discrepancy(first: Tensor, second: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy of [m d] and [n d] (Gretton et al. 2012, eq. 3), in float64."""
    x, y = first.double(), second.double()
    within = sum(_off_diagonal_mean(_kernel(rows, rows)) for rows in (x, y))
    return within - 2 * _kernel(x, y).mean().item()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return (base * base).mul_(base)  # much faster than a power


def _off_diagonal_mean(kernel: Tensor) -> float:
    return ((kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))).item()


def _subsets(rows: Tensor, shape: tuple[int, int], seed: int, side: str, number: int) -> list[Tensor]:
    """Return disjoint random subsets of rows; shape: (number of subsets, rows of each). Each side has its own random stream."""
    width, size = shape
    order = torch.from_numpy(permutation(len(rows), seed, "kernel_distance", side, number)[: width * size])
    return [rows[chosen] for chosen in order.to(rows.device).split(size)]

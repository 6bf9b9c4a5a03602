"""Kernel distance of features: an unbiased relative of the Fréchet distance (Binkowski et al. 2018)."""

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.core.randomness import permutation
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.statistics.feature_matrix import Features, alike
from simulacra.metrics.statistics.sample_size import flagged, require

SUBSETS = 100
_SUBSET = 1000
_LEAST = 100


def kernel_distance(generated: Features, reference: Features, seed: int, meter: Meter) -> Measurement:
    """Measure kernel_distance: squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, mean over subsets of 1,000.

    Smaller is better; unbiased, hence below zero at times. Both sets are shuffled and cut into as many disjoint subsets as they
    hold, again and again until there are 100 (the meter counts them). Subsets of different rounds overlap, so that their spread
    over the root of their number would be no standard error. Within a round they are independent: the variance of a round's mean
    is estimated without bias from its subsets and averaged over rounds. The mean over rounds varies as much or less, so the
    standard error is right or too large. It covers both draws of images. Below 2,000 images the subsets are half of them, which
    costs precision but adds no bias. Raises UsageError below 100 images on either side.
    """
    first, second = alike(generated, reference)
    for what, rows in (("generated images", first), ("real images", second)):
        require("kernel_distance", what, len(rows), _LEAST, "take more")
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
    protocol = {
        "kernel": "(x.y / d + 1)^3",
        "subsets": values.numel(),
        "subset_size": size,
        "reference_n": len(second),
        "seed": seed,
        "error": f"{width} disjoint subsets a round",
    }
    return Measurement(values.mean().item(), error, len(first), protocol | flagged(fewest, 2 * _SUBSET, "noisy, not biased"))


def discrepancy(first: Tensor, second: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy of [m d] and [n d] (Gretton et al. 2012, eq. 3), in float64."""
    x, y = first.double(), second.double()
    within = sum(_off_diagonal_mean(_kernel(rows, rows)) for rows in (x, y))
    return within - 2 * _kernel(x, y).mean().item()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return (base * base).mul_(base)  # many times as fast as a power


def _off_diagonal_mean(kernel: Tensor) -> float:
    count = len(kernel)
    return ((kernel.sum() - kernel.trace()) / (count * (count - 1))).item()


def _subsets(rows: Tensor, shape: tuple[int, int], seed: int, side: str, number: int) -> list[Tensor]:
    """Return disjoint random subsets, as many and as large as the shape says; each side has a stream of its own."""
    width, size = shape
    order = torch.from_numpy(permutation(len(rows), seed, "kernel_distance", side, number)[: width * size])
    return [rows[chosen] for chosen in order.to(rows.device).split(size)]

"""Which classes a generator reaches and how often, as a classifier sees its images."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.statistics.feature_matrix import classes
from simulacra.metrics.statistics.sample_size import flagged, require

Labels = Tensor | NDArray[Any]
_SHARE = 0.1  # of a class's real share that counts as reached
_LEAST, _ENOUGH = 10, 100  # images a class


def modes_covered(predicted: Labels, real: Labels, count: int) -> Measurement:
    """Measure modes_covered: classes with at least a tenth of their real share among generated images. Larger is better.

    `predicted` are the classes that a classifier sees in the generated images, `real` those of real images, in 0..count-1. A
    tenth, because a classifier that errs once in a hundred finds some image of every class in any large sample; how many have
    an image at all stands in the protocol as `with_any`. A count, without a standard error. Raises UsageError below 10 generated
    images a class, DataError where a class has no real image.
    """
    shares, usual, sizes = _shares(predicted, real, count, "modes_covered")
    value = int((shares >= _SHARE * usual).sum().item())
    protocol = {"of": count, "reached": f"{_SHARE:.0%} of the real share", "with_any": int((shares > 0).sum().item())}
    return Measurement(value, None, sizes[0], {**protocol, **_few(sizes, count, "a rare class can be missed by chance")})


def class_kl(predicted: Labels, real: Labels, count: int) -> Measurement:
    """Measure class_kl: KL(generated || real) = sum_c q_c log(q_c / p_c) of the class shares, in nats. Smaller is better.

    Unsmoothed: a class that is never generated contributes 0 (and raises the others), and every class must have real images. The
    standard error is the delta method's, over both draws. The number is too large by about (C - 1) / 2 (1/n + 1/m),
    which is what equal shares measure on average (Miller 1955): `same_law` in the protocol. Raises as modes_covered does.
    """
    shares, usual, sizes = _shares(predicted, real, count, "class_kl")
    ratios = torch.where(shares > 0, shares / usual, 1).log()
    value = (shares * ratios).sum().item()
    own = ((shares * ratios**2).sum().item() - value**2) / sizes[0]
    other = ((shares**2 / usual).sum().item() - 1) / sizes[1]
    floor = (count - 1) / 2 * (1 / sizes[0] + 1 / sizes[1])
    protocol: dict[str, Any] = {"direction": "generated || real", "smoothing": "none", "reference_n": sizes[1], "same_law": floor}
    few = _few(sizes, count, f"too large by about {floor:.2g}")
    return Measurement(max(value, 0.0), max(own + other, 0.0) ** 0.5, sizes[0], protocol | few)


def _shares(predicted: Labels, real: Labels, count: int, metric: str) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return the class shares of both sides, float64 [count], and how many images each has."""
    generated, reference = classes(predicted, "generated images", count), classes(real, "real images", count)
    for what, labels in (("generated images", generated), ("real images", reference)):
        require(metric, what, len(labels), _LEAST * count, f"take {_LEAST} for each of the {count} classes, or more")
    usual = reference.bincount(minlength=count).double()
    if not usual.all():
        raise DataError(f"class {int((usual == 0).nonzero()[0].item())} has no real image: leave it out on both sides")
    shares = generated.bincount(minlength=count).double()
    return (shares / shares.sum()).cpu(), (usual / usual.sum()).cpu(), (len(generated), len(reference))


def _few(sizes: tuple[int, int], count: int, consequence: str) -> dict[str, Any]:
    return flagged(min(sizes), _ENOUGH * count, consequence)

"""Class shares of generated images: classes covered, and divergence from the shares of real images."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.metrics.statistics.feature_matrix import classes
from simulacra.metrics.statistics.measurement import Measurement, flagged, require

Labels = Tensor | NDArray[Any]
_SHARE = 0.1  # of the real share of a class, above which it counts as covered
LEAST, _ENOUGH = 10, 100  # images per class


def modes_covered(predicted: Labels, real: Labels, count: int) -> Measurement:
    """Return modes_covered: the number of classes whose share among generated images is at least a tenth of the real share.

    `predicted` are the classes of generated images by a classifier, `real` those of real images, in 0..count-1. The threshold is
    a tenth because a classifier with an error of one percent finds some image of each class in any large sample; the number of
    classes with at least one image is `with_any` in the protocol. A count, without a standard error. Raises UsageError below 10
    generated images per class, DataError where a class has no real image.
    """
    shares, usual, sizes = _shares(predicted, real, count, "modes_covered")
    value = int((shares >= _SHARE * usual).sum().item())
    protocol = {"of": count, "covered": f"at least {_SHARE:.0%} of the real share", "with_any": int((shares > 0).sum().item())}
    return Measurement(value, None, sizes[0], {**protocol, **_few(sizes, count, "a rare class can be missed by chance")})


def class_kl(predicted: Labels, real: Labels, count: int) -> Measurement:
    """Return class_kl: KL(generated || real) = sum_c q_c log(q_c / p_c) of the class shares, in nats.

    Without smoothing: a class that is never generated contributes 0 (and increases the other terms), and each class must have
    real images. The standard error, by the delta method, covers both samples. The bias is about (C - 1) / 2 (1/n + 1/m), the
    expected value for equal distributions (Miller 1955): `expected_for_equal_distributions` in the protocol. Raises the errors of
    `modes_covered`.
    """
    shares, usual, sizes = _shares(predicted, real, count, "class_kl")
    ratios = torch.where(shares > 0, shares / usual, 1).log()
    value = (shares * ratios).sum().item()
    own = ((shares * ratios**2).sum().item() - value**2) / sizes[0]
    other = ((shares**2 / usual).sum().item() - 1) / sizes[1]
    floor = (count - 1) / 2 * (1 / sizes[0] + 1 / sizes[1])
    protocol: dict[str, Any] = {
        "direction": "generated || real",
        "smoothing": "none",
        "reference_n": sizes[1],
        "expected_for_equal_distributions": floor,
    }
    few = _few(sizes, count, f"too large by about {floor:.2g}")
    return Measurement(max(value, 0.0), max(own + other, 0.0) ** 0.5, sizes[0], protocol | few)


def _shares(predicted: Labels, real: Labels, count: int, metric: str) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return the class shares of generated and real images, float64 [count], and the two numbers of images."""
    generated, reference = classes(predicted, "generated images", count), classes(real, "real images", count)
    for what, labels in (("generated images", generated), ("real images", reference)):
        require(metric, what, len(labels), LEAST * count, f"use at least {LEAST} for each of the {count} classes")
    usual = reference.bincount(minlength=count).double()
    if not usual.all():
        raise DataError(f"class {int((usual == 0).nonzero()[0].item())} has no real image: remove it from both sets")
    shares = generated.bincount(minlength=count).double()
    return (shares / shares.sum()).cpu(), (usual / usual.sum()).cpu(), (len(generated), len(reference))


def _few(sizes: tuple[int, int], count: int, consequence: str) -> dict[str, Any]:
    return flagged(min(sizes), _ENOUGH * count, consequence)

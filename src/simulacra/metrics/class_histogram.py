"""Class histogram of generated images, by a classifier: classes covered, and divergence from the histogram of real images."""

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.capabilities import Samples
from simulacra.core.errors import DataError
from simulacra.images.section import ReportSection, columns_for
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.metric import Metric, MetricResults, Quantity, attempt
from simulacra.metrics.statistics import feature_space
from simulacra.metrics.statistics.feature_matrix import classes
from simulacra.metrics.statistics.report_figures import figure, generated_images, real_images, unavailable
from simulacra.metrics.statistics.sample_size import flagged, require

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

Labels = Tensor | NDArray[Any]
_SHARE = 0.1  # of the real share of a class, above which it counts as covered
_LEAST, _ENOUGH = 10, 100  # images per class
_LISTED = 10  # images of each class, and classes, whose positions are stored


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
        require(metric, what, len(labels), _LEAST * count, f"use at least {_LEAST} for each of the {count} classes")
    usual = reference.bincount(minlength=count).double()
    if not usual.all():
        raise DataError(f"class {int((usual == 0).nonzero()[0].item())} has no real image: remove it from both sets")
    shares = generated.bincount(minlength=count).double()
    return (shares / shares.sum()).cpu(), (usual / usual.sum()).cpu(), (len(generated), len(reference))


def _few(sizes: tuple[int, int], count: int, consequence: str) -> dict[str, Any]:
    return flagged(min(sizes), _ENOUGH * count, consequence)


# --- the metric


def images_by_class(generated: Tensor, real: Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the first images of each class, and its shares, by a classifier's predictions for both sets: int64 [n], [m].

    names: of the first ten classes; of: number of classes; generated, real: positions by class; shares: pairs.
    """
    listed = range(min(len(names), _LISTED))
    return {
        "names": list(names[:_LISTED]),
        "of": len(names),
        "generated": [_first(generated, label) for label in listed],
        "real": [_first(real, label) for label in listed],
        "shares": [[_share(generated, label), _share(real, label)] for label in listed],
    }


def _first(labels: Tensor, label: int) -> list[int]:
    found: list[int] = (labels == label).nonzero()[:_LISTED, 0].tolist()
    return found


def _share(labels: Tensor, label: int) -> float:
    return (labels == label).double().mean().item()


def _measure(context: EvaluationContext) -> MetricResults:
    predicted, real = context.generated.predictions, context.held_out_features.predictions
    if predicted is None or real is None:
        reason = f"the extractor {context.extractor.name} predicts no classes"
        return MetricResults({}, {"modes_covered": reason, "class_kl": reason})
    names = context.extractor.classes
    found = attempt(
        {
            "modes_covered": lambda: modes_covered(predicted, real, len(names)),
            "class_kl": lambda: class_kl(predicted, real, len(names)),
        }
    ).under(context.feature_protocol)
    artifacts = {"seed": context.settings.seed, **images_by_class(predicted, real, names)}
    return MetricResults(found.measurements, found.missing, artifacts)


def _section(opened: "OpenedRun", results: MetricResults) -> ReportSection:
    title, order, found = "Images by class", 55, results.artifacts
    if not found:
        return unavailable(title, order, results)
    columns = columns_for(opened.spec.shape, 10)
    rows = []
    for label, name in enumerate(found["names"]):
        generated = generated_images(opened, found["seed"], found["generated"][label][:columns])
        real = real_images(opened.dataset.test, found["real"][label][:columns])
        shares = found["shares"][label]
        pairs = ((generated, "Generated", shares[0]), (real, "Test", shares[1]))
        rows.append(
            tuple(
                figure(
                    images, len(images), f"{kind} images classified as {name}", f"{name}: {share:.1%} of {kind.lower()} images"
                )
                for images, kind, share in pairs
                if len(images)
            )
        )
    more = found["of"] - len(rows)
    text = (
        "The first images that the classifier of the evaluation assigns to each class, among generated images (left) and test "
        "images (right), with the share of the class." + (f" {more} more classes are omitted." if more else ""),
        "Check for classes that are rare or missing on the left, for classes with less variety than on the right, and for images "
        "that belong to no class, which the classifier cannot reject.",
    )
    return ReportSection(title, order, text, tuple(row for row in rows if row))


MODES_COVERED = Quantity(
    "modes_covered",
    "modes covered",
    "larger",
    "Number of classes (or modes of a known density) with at least a tenth of their real share among generated images.",
)
CLASS_KL = Quantity(
    "class_kl", "class KL, nats", "smaller", "KL divergence of the class histogram of generated images from that of real images."
)

METRIC = Metric(
    name="class_histogram",
    quantities=(MODES_COVERED, CLASS_KL),
    needs=(Samples,),
    order=140,
    cost=feature_space.cost,
    measure=_measure,
    settings=feature_space.SETTINGS,
    not_applicable=feature_space.known_density,
    details=frozenset({"of", "with_any", "expected_for_equal_distributions"}),
    section=_section,
)

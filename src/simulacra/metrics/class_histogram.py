"""Class histogram of generated images, by a classifier: classes covered, and divergence from the histogram of real images."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from simulacra.images.grid import image_grid
from simulacra.images.section import Figure, ReportSection, columns_for
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.class_shares import LEAST, class_kl, modes_covered
from simulacra.metrics.statistics.feature_space import feature_metric
from simulacra.metrics.statistics.report_figures import generated_images, real_images, unavailable
from simulacra.runs.opened import OpenedRun

_LISTED = 10  # images of each class, and classes, whose positions are stored


def images_by_class(generated: Tensor, real: Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the first images of each class, and its shares, by a classifier's predictions for both sets: int64 [n], [m].

    names: of the first ten classes; of: number of classes; generated, real: positions by class; shares: pairs.
    """
    listed = range(min(len(names), _LISTED))
    return {
        "names": list(names[:_LISTED]),
        "of": len(names),
        "generated": [(generated == label).nonzero()[:_LISTED, 0].tolist() for label in listed],
        "real": [(real == label).nonzero()[:_LISTED, 0].tolist() for label in listed],
        "shares": [[(labels == label).double().mean().item() for labels in (generated, real)] for label in listed],
    }


def _measure(context: EvaluationContext) -> MetricResults:
    predicted, real = context.generated.predictions, context.held_out_features.predictions
    if predicted is None or real is None:
        reason = f"the extractor {context.extractor.name} predicts no classes"
        return MetricResults({}, {"modes_covered": reason, "class_kl": reason})
    names, count = context.extractor.classes, len(context.extractor.classes)
    covered, divergence = (lambda: modes_covered(predicted, real, count)), (lambda: class_kl(predicted, real, count))
    found = attempt({"modes_covered": covered, "class_kl": divergence}).under(context.feature_protocol)
    return replace(found, artifacts={"seed": context.settings.seed, **images_by_class(predicted, real, names)})


def _section(opened: OpenedRun, results: MetricResults) -> ReportSection:
    title, order, found = "Images by class", 55, results.artifacts
    if not found:
        return unavailable(title, order, results)
    columns = columns_for(opened.spec.shape, 10)
    rows = []
    for label, name in enumerate(found["names"]):
        generated = generated_images(opened, results, found["generated"][label][:columns])
        real = real_images(opened.dataset.test, found["real"][label][:columns])
        shares = found["shares"][label]
        pairs = ((generated, "Generated", shares[0]), (real, "Test", shares[1]))
        row = []
        for images, kind, share in (pair for pair in pairs if len(pair[0])):
            caption = f"{name}: {share:.1%} of {kind.lower()} images"
            row.append(Figure(image_grid(images, len(images)), f"{kind} images classified as {name}", caption))
        rows.append(tuple(row))
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
CLASS_KL = Quantity("class_kl", "class KL, nats", "smaller", "KL divergence of the class histogram from that of real images.")
_DETAILS = ("of", "with_any", "expected_for_equal_distributions")


def _least(context: EvaluationContext) -> int:
    """Return the number of images needed for the classes of the data, 0 where another data set determines the classes."""
    return 0 if ":" in context.extractor_name else LEAST * len(context.opened.spec.classes)


METRIC = feature_metric(
    "class_histogram", 140, (MODES_COVERED, CLASS_KL), _measure, details=_DETAILS, section=_section, least=_least
)

"""Memorization: whether generated images are closer to training images than held-out real images are."""

from dataclasses import replace
from typing import Any

import torch

from simulacra.images.grid import image_grid
from simulacra.images.section import Figure, ReportSection, columns_for
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.feature_space import feature_metric
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.metrics.statistics.nearest_training import LEAST, Memorization, memorization
from simulacra.metrics.statistics.report_figures import generated_images, real_images, unavailable
from simulacra.runs.opened import OpenedRun

_LISTED = 24  # generated images closest to a training image, whose positions are stored
_PER_ROW = 12  # of them in a row of the report, which has two


def closest_pairs(found: Memorization) -> dict[str, Any]:
    """Return the generated images that are closest to a training image, each with that image, ascending.

    generated, train: positions; ratios: distances divided by the median distance of held-out images to the training images.
    """
    chosen = found.closest(_LISTED)
    ratios = found.distances[chosen] / found.held_out_distances.median()
    return {"generated": chosen.tolist(), "train": found.positions[chosen].tolist(), "ratios": ratios.tolist()}


def _measure(context: EvaluationContext) -> MetricResults:
    fakes, reals = context.generated.features, context.held_out_features.features
    train, seed = context.train_features.features, context.settings.seed
    artifacts: dict[str, Any] = {}

    with context.progress.task("nearest training images", len(fakes) + len(reals), "images") as meter:

        def measured() -> Measurement:
            found = memorization(fakes, train, reals, seed, meter)
            artifacts.update(seed=seed, **closest_pairs(found))
            return found.nearest_train_ratio

        results = attempt({"nearest_train_ratio": measured}).under(context.feature_protocol)
    return replace(results, artifacts=artifacts)


def _section(opened: OpenedRun, results: MetricResults) -> ReportSection:
    title, order, found = "Nearest neighbours", 50, results.artifacts
    if not found:
        return unavailable(title, order, results)
    columns = columns_for(opened.spec.shape, _PER_ROW)
    count = min(2 * columns, len(found["generated"]) // columns * columns) or len(found["generated"])
    generated = generated_images(opened, results, found["generated"][:count])
    train = real_images(opened.dataset.train, found["train"][:count])
    alt = "Generated images, each above the training image that is nearest to it"
    pairs = zip(generated.split(columns), train.split(columns), strict=True)
    rows = tuple((Figure(image_grid(torch.cat(pair), len(pair[0])), alt),) for pair in pairs)
    ratios = found["ratios"][:count]
    text = (
        "In each pair of rows: generated images above, and below each of them the training image that is nearest to it in "
        "feature space. Of all generated images, these are the closest to a training image: their distances are "
        f"{min(ratios):.2f} to {max(ratios):.2f} times the median distance of held-out real images.",
        "Check whether the images of a pair are identical: a model that memorizes its training images shows them here. Pairs "
        "that are merely similar are expected of a good model.",
    )
    return ReportSection(title, order, text, rows)


_RATIO = Quantity(
    "nearest_train_ratio",
    "nearest training image, ratio",
    "neither",
    "Median distance of generated images to the nearest training image, divided by that of held-out real images. About 1 is "
    "expected; far below 1 indicates memorization.",
    "1",
)

_DETAILS = ("copies", "nearer")

METRIC = feature_metric("memorization", 150, (_RATIO,), _measure, details=_DETAILS, section=_section, least=lambda context: LEAST)

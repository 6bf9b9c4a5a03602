"""Latents of training and test images with their classes, for classifiers in latent space."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE
from simulacra.core.errors import UsageError
from simulacra.data.dataset import Split
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.feature_matrix import Features, classes, same_dimensions
from simulacra.metrics.statistics.measurement import require

Labelled = tuple[Features, Tensor | NDArray[Any]]

_TRAIN_LATENTS = 60_000  # training images, at most, that a classifier is fitted to


def latent_metric(
    name: str,
    order: int,
    quantity: Quantity,
    cost: Callable[[EvaluationContext], str],
    measure: Callable[[EvaluationContext], MetricResults],
    *,
    details: Iterable[str] = (),
) -> Metric:
    """Return a metric of a classifier that is fitted to the latents of training images; arguments as in `Metric`."""
    needs = (AMORTIZED_LATENT_SPACE,)
    metric = Metric(name, (quantity,), needs, order, cost, measure, not_applicable=_no_classes, details=frozenset(details))
    return replace(metric, images=lambda context: len(train_images(context)) + len(context.split))


def _no_classes(context: EvaluationContext) -> str:
    held = len(context.opened.spec.classes) >= 2 and context.split.labels is not None
    return "" if held else "needs data with classes"


def train_images(context: EvaluationContext) -> Split:
    """Return the training images that a classifier in latent space is fitted to: the first of the shuffled split."""
    return context.opened.dataset.train[:_TRAIN_LATENTS]


def labelled_splits(context: EvaluationContext) -> tuple[Labelled, Labelled, int]:
    """Return latents and classes of training images and of the held-out images, and the number of classes."""
    train, test = train_images(context), context.split
    labels, truth = train.class_labels, test.class_labels
    assert labels is not None
    assert truth is not None
    return (context.latents(train), labels), (context.latents(test), truth), len(context.opened.spec.classes)


def labelled(train: Labelled, test: Labelled, count: int, metric: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training latents and classes, then test latents and classes, after checking that there is one class per latent.

    Raises UsageError where numbers or dimensions differ, or where a set is empty.
    """
    unseen, known = same_dimensions(test[0], train[0], ("test", "training"))
    labels, truth = classes(train[1], "training images", count), classes(test[1], "test images", count)
    for what, rows, names in (("training images", known, labels), ("test images", unseen, truth)):
        if len(rows) != len(names):
            got = f"{len(rows):,} latents and {len(names):,} classes"
            raise UsageError(f"{metric}: {got} of {what}, expected one class per image")
        require(metric, what, len(rows), 1, "add some")
    return known, labels.to(known.device), unseen, truth.to(known.device)

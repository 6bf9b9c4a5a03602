"""Nearest-neighbour accuracy in latent space: whether images with similar latents have the same class."""

import torch
from torch import Tensor

from simulacra.core.progress import Meter
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.distances import BLOCK, clouds, nearest
from simulacra.metrics.statistics.labelled_latents import Labelled, labelled, labelled_splits, latent_metric, train_images
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of, require

NEIGHBOURS = 5
_ENOUGH = 1000


def knn_accuracy(train: Labelled, test: Labelled, count: int, meter: Meter, *, block: int = BLOCK) -> Measurement:
    """Return knn_accuracy: the share of test latents whose 5 nearest training latents vote for their class.

    Both sets are (latents [n d], classes [n] in 0..count-1). Euclidean distances of the latents without scaling, equal votes;
    ties go to the class with the lowest number. The interval covers the test images. The meter counts test images.
    Raises UsageError for fewer than 5 training images or no test images.
    """
    known, labels, unseen, truth = labelled(train, test, count, "knn_accuracy")
    require("knn_accuracy", "training images", len(known), NEIGHBOURS, "use more")
    votes = class_votes(known, labels, unseen, count, meter, n_neighbors=NEIGHBOURS, block=block)
    protocol = {"k": NEIGHBOURS, "distance": "Euclidean", "train_n": len(known)}
    return fraction_of(votes.argmax(1) == truth, protocol | flagged(len(truth), _ENOUGH, "a wide interval"))


def class_votes(
    known: Tensor, labels: Tensor, unseen: Tensor, count: int, meter: Meter, *, n_neighbors: int, block: int = BLOCK
) -> Tensor:
    """Return how many of the `n_neighbors` nearest known points of each unseen point have each class: float32 [n count].

    known: [m d] with classes int64 [m] in 0..count-1; unseen: [n d]. Euclidean distances without scaling, equal votes (Cover &
    Hart 1967). The meter counts unseen points.
    """
    queries, references = clouds(unseen, known)
    _, positions = nearest(queries, references, n_neighbors, meter, block=block)
    votes = torch.zeros(len(unseen), count, device=unseen.device)
    return votes.scatter_add_(1, labels[positions], torch.ones_like(positions, dtype=votes.dtype))


def _measure(context: EvaluationContext) -> MetricResults:
    train, test, classes = labelled_splits(context)
    with context.progress.task("nearest latents", len(context.split), "images") as meter:
        return attempt({"knn_accuracy": lambda: knn_accuracy(train, test, classes, meter)})


METRIC = latent_metric(
    "knn_accuracy",
    40,
    Quantity("knn_accuracy", "5-nearest-neighbour accuracy", "larger", "Accuracy of a classifier by nearest training latents."),
    lambda context: f"{len(train_images(context)) + len(context.split):,} encodings",
    _measure,
)

"""Nearest-neighbour accuracy in latent space: whether images with similar latents have the same class."""

from simulacra.core.progress import Meter
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.distances import BLOCK
from simulacra.metrics.statistics.labelled_latents import Labelled, labelled, labelled_splits, latent_metric, train_images
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of, require
from simulacra.metrics.statistics.nearest_votes import class_votes

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

"""How well nearest neighbours in latent space tell the class of an image."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.progress import Meter
from simulacra.metrics.measurement import Measurement, fraction_of
from simulacra.metrics.statistics.distances import BLOCK, clouds, nearest
from simulacra.metrics.statistics.feature_matrix import Features, alike, classes
from simulacra.metrics.statistics.sample_size import flagged, require

NEIGHBOURS = 5
_ENOUGH = 1000

Labelled = tuple[Features, Tensor | NDArray[Any]]


def knn_accuracy(train: Labelled, test: Labelled, count: int, meter: Meter, *, block: int = BLOCK) -> Measurement:
    """Measure knn_accuracy: share of test latents whose 5 nearest training latents vote for their class. Larger is better.

    Both are (latents [n d], classes [n] in 0..count-1). Euclidean distances of the latents as they are, equal votes, the first of
    the classes where votes are equal. The interval covers the test images. The meter counts them.
    Raises UsageError below 5 training images, or without test images.
    """
    known, labels, unseen, truth = labelled(train, test, count, "knn_accuracy")
    require("knn_accuracy", "training images", len(known), NEIGHBOURS, "take more")
    queries, references = clouds(unseen, known)
    _, positions = nearest(queries, references, NEIGHBOURS, meter, block=block)
    votes = torch.zeros(len(truth), count, device=unseen.device)
    votes.scatter_add_(1, labels[positions], torch.ones_like(positions, dtype=votes.dtype))
    protocol = {
        "k": NEIGHBOURS,
        "distance": "Euclidean",
        "train_n": len(known),
        **flagged(len(truth), _ENOUGH, "a wide interval"),
    }
    return fraction_of(votes.argmax(1) == truth, protocol)


def labelled(train: Labelled, test: Labelled, count: int, metric: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training latents and classes, test latents and classes, checked: they fit together, and there are some of each."""
    unseen, known = alike(test[0], train[0], ("test", "training"))
    labels, truth = classes(train[1], "training images", count), classes(test[1], "test images", count)
    for what, rows, names in (("training images", known, labels), ("test images", unseen, truth)):
        if len(rows) != len(names):
            raise UsageError(f"{metric}: {len(rows):,} latents and {len(names):,} classes of {what}. Give one class an image")
        require(metric, what, len(rows), 1, "give some")
    return known, labels.to(known.device), unseen, truth.to(known.device)

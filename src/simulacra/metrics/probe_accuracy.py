"""Linear probe accuracy: how well a linear classifier predicts the class of an image from its latents."""

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.labelled_latents import Labelled, labelled, labelled_splits, latent_metric, train_images
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

_STRENGTH = 1.0  # scikit-learn's C: one over the weight of |w|^2 / 2 beside the summed losses
_ITERATIONS = 2000
_ENOUGH = 1000


def probe_accuracy(train: Labelled, test: Labelled, count: int) -> Measurement:
    """Return probe_accuracy: the share of test latents that a multinomial logistic regression assigns to their class.

    Both sets are (latents [n d], classes [n] in 0..count-1). Latents are standardized by the mean and standard deviation of the
    training latents; the regression has an L2 penalty with C = 1 and is fitted by L-BFGS, which draws no random numbers. Nothing
    is chosen on test images. The interval covers the test images, not the training images.
    Raises UsageError for an empty set, DataError where all training images have one class.
    """
    known, labels, unseen, truth = labelled(train, test, count, "probe_accuracy")
    if len(labels.unique()) < 2:
        raise DataError("probe_accuracy: all training images have one class, expected at least two classes")
    mean, deviation = known.double().mean(0), known.double().std(0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1)
    probe, converged = _fit((known - mean) / scale, labels)
    predicted = torch.from_numpy(probe.predict(((unseen - mean) / scale).cpu().numpy()))
    classifier = f"multinomial logistic regression, L2, C = {_STRENGTH:g}"
    protocol = {"classifier": classifier, "latents": "standardized", "train_n": len(known), "converged": converged}
    return fraction_of(predicted == truth.cpu(), protocol | flagged(len(truth), _ENOUGH, "a wide interval"))


def _fit(latents: Tensor, labels: Tensor) -> "tuple[LogisticRegression, bool]":
    """Return the regression, and whether it converged; the protocol records this instead of a warning."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(C=_STRENGTH, max_iter=_ITERATIONS).fit(latents.cpu().numpy(), labels.cpu().numpy())
    return probe, bool(probe.n_iter_.max() < _ITERATIONS)


def _measure(context: EvaluationContext) -> MetricResults:
    train, test, classes = labelled_splits(context)
    return attempt({"probe_accuracy": lambda: probe_accuracy(train, test, classes)})


METRIC = latent_metric(
    "probe_accuracy",
    50,
    Quantity("probe_accuracy", "linear probe accuracy", "larger", "Accuracy of a logistic regression on training latents."),
    lambda context: f"a logistic regression on {len(train_images(context)):,} latents",
    _measure,
    details=("converged",),
)

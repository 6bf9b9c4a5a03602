"""Linear probe accuracy: how well a linear classifier predicts the class of an image from its latents."""

from simulacra.core.errors import DataError
from simulacra.features.linear_probe import STRENGTH, TOLERANCE, fit_linear_probe
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults, Quantity, attempt
from simulacra.metrics.statistics.labelled_latents import Labelled, labelled, labelled_splits, latent_metric, train_images
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of

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
    probe, converged = fit_linear_probe(known, labels, count)
    predicted = probe.logits(unseen).argmax(1)
    classifier = f"multinomial logistic regression, L2, C = {STRENGTH:g}"
    protocol = {"classifier": classifier, "latents": "standardized", "tolerance": TOLERANCE}
    protocol |= {"train_n": len(known), "converged": converged}
    return fraction_of(predicted == truth, protocol | flagged(len(truth), _ENOUGH, "a wide interval"))


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

"""Accuracy of the classifier that is part of a semi-supervised model."""

from typing import cast

from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import Classifies
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.measurement import Measurement, fraction_of
from simulacra.metrics.statistics.model_inputs import in_batches

_CHUNK = 500  # images


def classifier_accuracy(model: Classifies, split: Split, meter: Meter) -> Measurement:
    """Return classifier_accuracy: the share of the images of a labelled split whose most probable class by q(y|x) is theirs."""

    def compared(number: int, batch: Batch) -> dict[str, Tensor]:
        assert batch.labels is not None
        return {"hits": (model.class_log_probabilities(batch.images).argmax(1) == batch.labels).cpu()}

    return fraction_of(in_batches(model, split, compared, meter, _CHUNK)["hits"], {})


def _measure(context: EvaluationContext) -> MetricResults:
    with context.progress.task("classifying", len(context.split), "images") as meter:
        found = classifier_accuracy(cast(Classifies, context.model), context.split, meter)
    return MetricResults(
        {"classifier_accuracy": found.under({"training_labels": context.opened.run.config.train.labels or "all"})}
    )


def _not_applicable(context: EvaluationContext) -> str:
    if not cast(Classifies, context.model).has_classifier:
        return "the model has no classifier of its own (see --semi-supervised of 'simulacra train'): see bayes_accuracy"
    return "" if context.split.labels is not None else "needs data with classes"


METRIC = Metric(
    name="classifier_accuracy",
    quantities=(
        Quantity("classifier_accuracy", "classifier accuracy", "larger", "Accuracy of the model's own classifier q(y|x)."),
    ),
    needs=(Classifies, "labels"),
    order=15,
    cost=lambda context: f"{len(context.split):,} classifications",
    measure=_measure,
    not_applicable=_not_applicable,
)

"""Classification accuracy score (CAS): accuracy on real images of a classifier trained on generated images only."""

from dataclasses import dataclass

import torch

from simulacra.core.capabilities import Samples
from simulacra.core.config import Config, option
from simulacra.features.loading import default_extractor
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.feature_space import unconditional
from simulacra.metrics.statistics.generated_classifier import classifier_accuracy


@dataclass(frozen=True)
class CASOptions(Config):
    """Options of the classification accuracy score."""

    cas: bool = option(False, "conditional models: measure the classification accuracy score by training a classifier (minutes)")


def _not_applicable(context: EvaluationContext) -> str:
    enabled = context.options(CASOptions).cas
    unlabelled = "" if context.split.labels is not None else f"the {context.split.name} images have no labels"
    return unconditional(context) or unlabelled or ("" if enabled else "add --cas: it trains a classifier, which takes minutes")


def _measure(context: EvaluationContext) -> MetricResults:
    generated, test = context.labelled_images(), context.split
    kind, seed = default_extractor(context.opened.spec), context.settings.seed
    with torch.inference_mode(False):
        measured = classifier_accuracy(generated, test, kind, overrides={"seed": seed}, progress=context.progress)
    return MetricResults({"cas_accuracy": measured.under({"requested": "all classes equally", **context.sampling_protocol})})


_CAS = Quantity(
    "cas_accuracy",
    "classification accuracy score",
    "larger",
    "Accuracy on real images of a classifier trained on generated images only (CAS).",
)

METRIC = Metric(
    name="classification_accuracy_score",
    quantities=(_CAS,),
    needs=(Samples, "labels"),
    order=300,
    cost=lambda context: f"training a {default_extractor(context.opened.spec)} on {context.settings.samples:,} generated images",
    measure=_measure,
    images=None,
    settings=("samples", "seed", "cas"),
    options=CASOptions,
    not_applicable=_not_applicable,
)

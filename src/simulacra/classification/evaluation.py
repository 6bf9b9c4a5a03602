"""Accuracy and calibration of methods over several choices of labelled images, with baselines on the same images."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from simulacra.classification import methods
from simulacra.classification.calibration import BINS, calibration_error, fit_temperature, mean_nll
from simulacra.classification.classifier import Classifier
from simulacra.classification.confusion import confusion_matrix
from simulacra.classification.methods import Fitted, Method
from simulacra.classification.problem import ALL, Problem
from simulacra.classification.representation import Representation, images, pixels, principal_components
from simulacra.classification.store import StoredClassifier
from simulacra.core.capabilities import Classifies, supports
from simulacra.core.errors import UsageError
from simulacra.core.progress import Progress
from simulacra.data.dataset import Split
from simulacra.metrics.statistics.measurement import Measurement, wilson
from simulacra.runs.opened import OpenedRun

_LEVEL = 0.975  # quantile of the t distribution for a 95 % interval


@dataclass(frozen=True)
class Outcome:
    """The test results of one classifier: shares in [0, 1], and the confusion matrix int64 [c c]."""

    accuracy: float
    calibration_error: float
    uncalibrated: float
    temperature: float
    confusion: Tensor


@dataclass(frozen=True)
class Row:
    """The results of one method or baseline, one outcome for each choice of labelled images."""

    name: str
    title: str
    baseline: bool
    outcomes: tuple[Outcome, ...]
    protocol: Mapping[str, Any]

    @cached_property
    def metrics(self) -> dict[str, Measurement]:
        """Accuracy, and the expected calibration error after and before temperature scaling."""
        count = int(self.outcomes[0].confusion.sum())
        calibration = {**self.protocol, "bins": f"{BINS} of equal width"}
        temperatures = [outcome.temperature for outcome in self.outcomes]
        return {
            "accuracy": accuracy_of([outcome.accuracy for outcome in self.outcomes], count, self.protocol),
            "calibration_error": over_splits(
                [outcome.calibration_error for outcome in self.outcomes], count, {**calibration, "temperature": temperatures}
            ),
            "calibration_error_uncalibrated": over_splits(
                [outcome.uncalibrated for outcome in self.outcomes], count, calibration
            ),
        }

    @cached_property
    def confusion(self) -> Tensor:
        """The sum of the confusion matrices."""
        return torch.stack([outcome.confusion for outcome in self.outcomes]).sum(0)

    def table(self) -> dict[str, Any]:
        """Return the row, ready for JSON."""
        return {
            "title": self.title,
            "baseline": self.baseline,
            "metrics": {name: item.table() for name, item in self.metrics.items()},
            "accuracies": [outcome.accuracy for outcome in self.outcomes],
            "confusion": self.confusion.tolist(),
        }


def over_splits(values: Sequence[float], count: int, protocol: Mapping[str, Any]) -> Measurement:
    """Return the mean of values of several splits with its 95 % t interval (Student 1908); no interval for a single one.

    values: shares in [0, 1], at whose ends the interval is cut; count: number of test images. The interval covers the choice of
    labelled images and the networks' random numbers; the test images are the same.
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return Measurement(mean, None, count, dict(protocol))
    from scipy.special import stdtrit

    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    reach = float(stdtrit(len(values) - 1, _LEVEL)) * spread / math.sqrt(len(values))
    facts = {**protocol, "interval": f"t interval over {len(values)} splits"}
    return Measurement(mean, None, count, facts, (max(mean - reach, 0.0), min(mean + reach, 1.0)))


def accuracy_of(values: Sequence[float], count: int, protocol: Mapping[str, Any]) -> Measurement:
    """Return the accuracy over splits; of a single one with Wilson's interval, which covers the test images."""
    if len(values) > 1:
        return over_splits(values, count, protocol)
    facts = {**protocol, "interval": "Wilson, over test images"}
    return Measurement(values[0], None, count, facts, wilson(values[0], count))


@dataclass(frozen=True)
class EvaluationRequest:
    """What is evaluated: methods, the number of labelled images (0 for all), splits, the first seed, steps (0: defaults)."""

    methods: tuple[Method, ...]
    labels: int
    splits: int
    seed: int
    steps: int


@dataclass(frozen=True)
class _Candidate:
    """A method or baseline: how it is fitted, to what, and the method whose settings it has."""

    name: str
    title: str
    baseline: bool
    inputs: Representation
    fit: Callable[[Problem, Representation], Fitted]
    method: Method


def evaluate_methods(opened: OpenedRun, request: EvaluationRequest, progress: Progress) -> list[Row]:
    """Return the rows of the methods and of all baselines, on the same labelled images.

    Baselines: probe and k nearest neighbours of raw pixels and of principal components, label spreading on these where it is
    chosen, and the network of the model trained without pretraining. Split k has the seed `seed` + k; where all images have
    labels there is one. Temperatures are fitted to validation images; test images are used once, for the results. Raises
    UsageError for a method that does not apply.
    """
    if len(opened.dataset.test) == 0:
        raise UsageError("there are no test images to evaluate with: use data with a test split")
    splits = request.splits if request.labels else 1
    problems = [Problem(opened, request.labels, request.seed + k, request.steps, progress) for k in range(splits)]
    for method in request.methods:
        if method.unlabelled:
            problems[0].require_unlabelled(method.name)
    rows = []
    for candidate in _candidates(opened, request.methods):
        with progress.task(candidate.title, splits, "splits") as meter:
            found = []
            for problem in problems:
                fitted = candidate.fit(problem, candidate.inputs)
                found.append((_outcome(opened, fitted.classifier, candidate.inputs), fitted.facts))
                meter.advance()
        labels = {"labels": request.labels or ALL, "labelled_n": len(problems[0].rows), "splits": splits, "seed": request.seed}
        protocol = {**candidate.method.facts(problems[0], candidate.inputs), **labels, "split": "test", **found[0][1]}
        rows.append(Row(candidate.name, candidate.title, candidate.baseline, tuple(item for item, _ in found), protocol))
    return rows


def _candidates(opened: OpenedRun, chosen: Sequence[Method]) -> Iterator[_Candidate]:
    """Yield the chosen methods, then the baselines."""
    shared: dict[Callable[[OpenedRun], Representation], Representation] = {}
    for method in chosen:
        if method.inputs not in shared:
            shared[method.inputs] = method.inputs(opened)
        yield _Candidate(method.name, method.title, False, shared[method.inputs], method.fit, method)
    usual, spreading = [methods.METHODS["probe"], methods.METHODS["knn"]], methods.METHODS["spreading"]
    for key, inputs, compared in (
        ("pixels", pixels(opened), usual),
        ("pca", principal_components(opened), [*usual, *([spreading] if spreading in chosen else [])]),
    ):
        for method in compared:
            yield _Candidate(f"{key}_{method.name}", f"{method.title}, {inputs.name}", True, inputs, method.fit, method)
    like = replace(methods.METHODS["fine-tune"], name="network without pretraining")
    yield _Candidate("network_alone", like.name, True, images(opened), lambda problem, inputs: _alone(problem), like)


def _alone(problem: Problem) -> Fitted:
    return methods.fit_network(problem, pretrained=False)


def _outcome(opened: OpenedRun, classifier: Classifier, inputs: Representation) -> Outcome:
    """Return the test results of a classifier, with the temperature of the validation images."""
    temperature = temperature_of(opened, classifier, inputs)
    return outcome_of(classifier.decision_function(inputs.test), class_labels(opened.dataset.test), temperature)


def temperature_of(opened: OpenedRun, classifier: Classifier, inputs: Representation) -> float:
    """Return the temperature that calibrates a classifier on the validation images; 1 where there are none."""
    validation = opened.dataset.validation
    if len(validation) == 0:
        return 1.0
    return fit_temperature(classifier.decision_function(inputs.validation), class_labels(validation))


def outcome_of(logits: Tensor, labels: Tensor, temperature: float) -> Outcome:
    """Return the results of logits [n c] of images with classes int64 [n]."""
    predicted = logits.argmax(1)
    return Outcome(
        (predicted == labels).double().mean().item(),
        calibration_error(torch.softmax(logits / temperature, 1), labels),
        calibration_error(torch.softmax(logits, 1), labels),
        temperature,
        confusion_matrix(labels, predicted, logits.shape[1]),
    )


def class_labels(split: Split) -> Tensor:
    """Return the classes of a labelled split, int64 [n]."""
    if split.class_labels is None:
        raise UsageError(f"the {split.name} images have no classes to compare with: sort them into one folder for each class")
    return torch.tensor(split.class_labels)


def stored_row(opened: OpenedRun, stored: StoredClassifier) -> Row:
    """Return the results of the classifier that is stored in the run folder."""
    inputs = stored.method.inputs(opened)
    logits = stored.classifier.decision_function(inputs.test)
    outcome = outcome_of(logits, class_labels(opened.dataset.test), stored.temperature)
    protocol = {**stored.facts["protocol"], "split": "test"}
    return Row("stored", f"stored classifier: {stored.method.title}", False, (outcome,), protocol)


def own_row(opened: OpenedRun) -> Row | None:
    """Return the results of the classifier that the model itself is, None for a model without one.

    It is that of its class probabilities: of a network of its own, or by Bayes' rule. Its labels are those of its training.
    """
    model = opened.model
    if not supports(model, Classifies) or not model.label_sizes or opened.spec.attributes:
        return None
    assert isinstance(model, Classifies)

    def logits(split: Split) -> Tensor:
        given = images(opened)
        features = given.test if split is opened.dataset.test else given.validation
        return opened.apply(lambda part, condition: model.class_log_probabilities(part), features).double()

    validation = opened.dataset.validation
    temperature = fit_temperature(logits(validation), class_labels(validation)) if len(validation) else 1.0
    outcome = outcome_of(logits(opened.dataset.test), class_labels(opened.dataset.test), temperature)
    training = opened.run.config.train
    own = model.has_classifier
    probabilities = "q(y|x), a network" if own else "Bayes' rule with the model's bound of the likelihood"
    labels = {"labels": training.labels or ALL, "training_seed": training.seed}
    protocol = {"probabilities": probabilities, **labels, "split": "test"}
    name, title = ("classifier", "the model's own classifier") if own else ("bayes", "the model by Bayes' rule")
    return Row(name, title, False, (outcome,), protocol)


def label_note(opened: OpenedRun, labels: int) -> str:
    """Return a warning where the model itself was trained with more labels than the methods receive; empty otherwise."""
    if labels == 0:
        return ""
    if "tokens" in opened.model.accepts:
        return "the model was trained with captions, which may name the class: its features are not learned without labels"
    if "labels" not in opened.model.accepts:
        return ""
    used = opened.run.config.train.labels
    if used and used <= labels:
        return ""
    given = f"{used:,}" if used else "all"
    return f"the model was trained with {given} labels: its features are not those of a model that sees {labels:,} only"


def validation_scores(opened: OpenedRun, logits: Tensor, temperature: float) -> dict[str, Any]:
    """Return accuracy, NLL and calibration error on validation images, to which the temperature was fitted; empty without any."""
    if len(opened.dataset.validation) == 0:
        return {}
    labels = class_labels(opened.dataset.validation)
    probabilities = {"calibrated": torch.softmax(logits / temperature, 1), "uncalibrated": torch.softmax(logits, 1)}
    return {
        "n": len(labels),
        "accuracy": (logits.argmax(1) == labels).double().mean().item(),
        "nll_nats": {"calibrated": mean_nll(logits, labels, temperature), "uncalibrated": mean_nll(logits, labels)},
        "calibration_error": {name: calibration_error(values, labels) for name, values in probabilities.items()},
    }

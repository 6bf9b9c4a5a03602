"""Classify images by features of a model: train a classifier, evaluate methods with few labels, predict classes.

Features are the latents of models with an encoder, and features of the denoiser of diffusion and flow models.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from simulacra.applications.application import Action, Application, ApplicationResult
from simulacra.classification import methods
from simulacra.classification.calibration import calibration_error, mean_nll
from simulacra.classification.chart import Bar, accuracy_chart
from simulacra.classification.confusion import confusion_image
from simulacra.classification.evaluation import (
    EvaluationRequest,
    Row,
    class_labels,
    evaluate_methods,
    label_note,
    own_row,
    stored_row,
    temperature_of,
)
from simulacra.classification.prediction import Predictions, check_table, predict, write_table
from simulacra.classification.problem import ALL, Problem, parse_labels, require_classes
from simulacra.classification.store import has_classifier, make_classification_folder, read_classifier, write_classifier
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, HasFeatures
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.files import write_json
from simulacra.core.progress import Progress
from simulacra.images.files import check_png, save_png
from simulacra.images.section import Figure, ReportSection
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.opened import OpenedRun
from simulacra.runs.provenance import now

_ORDER = 70  # of the section of the report
_LISTED = 10  # predictions in the terminal, at most
_LABELS = "number of labelled training images, the same number of each class, or all"
_STEPS = "training steps of fine-tune, self-training and the network without pretraining; 0: the default of each"
_NAMES = ", ".join(methods.METHODS)


@dataclass(frozen=True)
class TrainClassifierConfig(Config):
    """Settings of the training of a classifier."""

    method: Literal["probe", "knn", "spreading", "fine-tune", "self-training"] = option("probe", "how to classify")
    labels: str = option(ALL, _LABELS)
    seed: int = option(0, "seed that chooses the labelled images, and of random numbers", low=0)
    steps: int = option(0, _STEPS, low=0)


@dataclass(frozen=True)
class EvaluateClassifierConfig(Config):
    """Settings of the evaluation of methods."""

    method: str = option("probe,knn", f"methods, separated by commas: {_NAMES}")
    labels: str = option("100", _LABELS)
    splits: int = option(5, "number of choices of labelled images; one where all have labels", low=1)
    seed: int = option(0, "seed of the first choice; choice k has seed + k", low=0)
    steps: int = option(0, _STEPS, low=0)
    out: str = option("", "a .png file of the confusion matrix of the first method (default: RUN/images/confusion.png)")


@dataclass(frozen=True)
class PredictConfig(Config):
    """Settings of predictions."""

    input: str = option("", "images of your own: a file, folder or archive; required")
    out: str = option("", "a .csv or .json file (default: RUN/images/classes.csv)")


def _train(opened: OpenedRun, settings: TrainClassifierConfig, progress: Progress) -> ApplicationResult:
    """Fit a classifier, calibrate it on validation images, and store it."""
    labels = parse_labels(settings.labels)
    require_classes(opened)
    method, problem = methods.find(settings.method), Problem(opened, labels, settings.seed, settings.steps, progress)
    inputs = method.inputs(opened)
    fitted = method.fit(problem, inputs)
    temperature = temperature_of(opened, fitted.classifier, inputs)
    protocol = {**method.facts(problem, inputs), **fitted.facts, "labels": labels or ALL, "labelled_n": len(problem.rows)}
    facts: dict[str, Any] = {
        "method": method.name,
        "temperature": temperature,
        "trained": now(),
        "protocol": {**protocol, "seed": settings.seed},
        "validation": _validation(opened, fitted.classifier.decision_function(inputs.validation), temperature),
    }
    path = write_classifier(opened, fitted.classifier, facts)
    note = label_note(opened, labels)
    held = facts["validation"]
    scores = f"; accuracy {100 * held['accuracy']:.2f} % on {held['n']:,} validation images" if held else ""
    text = f"{method.title} on {inputs.name}, {len(problem.rows):,} labels{scores}, temperature {temperature:.3f}, in {path}"
    return ApplicationResult({"path": str(path), **facts, "notes": [note] if note else []}, "\n".join(filter(None, (text, note))))


def _validation(opened: OpenedRun, logits: torch.Tensor, temperature: float) -> dict[str, Any]:
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


def _evaluate(opened: OpenedRun, settings: EvaluateClassifierConfig, progress: Progress) -> ApplicationResult:
    """Evaluate methods and baselines on the test images, and store the result for the report."""
    labels, chosen = parse_labels(settings.labels), methods.parse_methods(settings.method)
    path = check_png(opened.run.output(settings.out, "confusion.png"))
    require_classes(opened)
    request = EvaluationRequest(chosen, labels, settings.splits, settings.seed, settings.steps)
    extra, notes = _other_rows(opened, labels)
    rows = evaluate_methods(opened, request, progress)
    rows = [*rows[: len(chosen)], *extra, *rows[len(chosen) :]]
    content = _content(opened, rows, settings, notes)
    stored = make_classification_folder(opened) / f"evaluation_{labels or ALL}.json"
    write_json(stored, content)
    save_png(confusion_image(rows[0].confusion, opened.spec.classes), path)
    text = _text([_line(name, row) for name, row in content["rows"].items()])
    lines = (
        text,
        f"confusion matrix of {rows[0].title} in {path}, all numbers in {stored}",
        *(f"note: {note}" for note in notes),
    )
    return ApplicationResult({**content, "confusion_path": str(path), "path": str(stored)}, "\n".join(lines))


def _other_rows(opened: OpenedRun, labels: int) -> tuple[list[Row], list[str]]:
    """Return the rows of the model's own classifier and of the stored one, and notes on what they can be compared with."""
    notes = [note] if (note := label_note(opened, labels)) else []
    rows = [row] if (row := own_row(opened)) else []
    for row in rows:
        if row.protocol["labels"] != (labels or ALL):
            notes.append(f"{row.title} was trained with {row.protocol['labels']} labels, the methods with {labels or ALL}")
    if has_classifier(opened):
        try:
            rows.append(stored_row(opened, read_classifier(opened)))
        except UsageError as error:
            notes.append(f"not evaluated: {error}")
    return rows, notes


def _content(opened: OpenedRun, rows: Sequence[Row], settings: EvaluateClassifierConfig, notes: list[str]) -> dict[str, Any]:
    """Return the evaluation, ready for JSON: the metrics of the methods by their names, and all rows."""
    metrics = {f"{row.name.replace('-', '_')}_accuracy": row.metrics["accuracy"] for row in rows if not row.baseline}
    calibration = {name: value for name, value in rows[0].metrics.items() if name != "accuracy"}
    return {
        "metrics": {name: item.table() for name, item in {**metrics, **calibration}.items()},
        "rows": {row.name: row.table() for row in rows},
        "classes": list(opened.spec.classes),
        "labels": settings.labels,
        "splits": len(rows[0].outcomes),
        "seed": settings.seed,
        "step": opened.step,
        "weights": opened.digest,
        "measured": now(),
        "notes": notes,
    }


def _line(name: str, row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return title, accuracy in percent, and calibration error in percent before and after, of a row of JSON."""
    found = {key: Measurement.of(item) for key, item in row["metrics"].items()}
    accuracy, after, before = found["accuracy"], found["calibration_error"], found["calibration_error_uncalibrated"]
    kind = " (baseline)" if row["baseline"] else ""
    return f"{row['title']}{kind}", _percent(accuracy), f"{100 * before.value:.1f}", f"{100 * after.value:.1f}"


def _percent(found: Measurement) -> str:
    low, high = found.bounds
    return f"{100 * found.value:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def _text(lines: Sequence[tuple[str, str, str, str]]) -> str:
    titles = ("method", "accuracy, %", "calibration error, %", "after temperature scaling")
    widths = [max(len(line[column]) for line in (titles, *lines)) for column in range(4)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in (titles, *lines)
    )


def _predict(opened: OpenedRun, settings: PredictConfig, progress: Progress) -> ApplicationResult:
    """Classify images with the stored classifier, and write a table."""
    if not settings.input:
        raise UsageError("no --input: name an image, or a folder or archive of images")
    path = check_table(opened.run.output(settings.out, "classes.csv"))
    stored = read_classifier(opened)
    found = predict(opened, stored, Path(settings.input), progress)
    write_table(found, path)
    content = {"path": str(path), "count": len(found.images), "temperature": stored.temperature, **found.table()}
    return ApplicationResult(content, _summary(found, path))


def _summary(found: Predictions, path: Path) -> str:
    lines = [f"{item.file}: {item.label} ({100 * item.probability:.1f} %)" for item in found.images[:_LISTED]]
    rest = len(found.images) - len(lines)
    lines += [f"and {rest:,} more"] if rest else []
    lines += [f"{len(found.images):,} images classified, in {path}"]
    lines += [f"skipped {file}: {reason}" for file, reason in found.skipped]
    return "\n".join(lines)


def _section(opened: OpenedRun) -> ReportSection | None:
    """Return the newest evaluation of these weights; None without one."""
    found = [content for path in opened.run.classification.glob("evaluation_*.json") if (content := _read(path))]
    current = [content for content in found if content["weights"] == opened.digest]
    if not current:
        return None
    newest = max(current, key=lambda content: content["measured"])
    rows = newest["rows"]
    first = next(iter(rows.values()))
    known = f"{newest['labels']} labelled training images, {newest['splits']} splits" if newest["labels"] != ALL else "all labels"
    text = (
        f"Accuracy on test images of classifiers with {known}; in parentheses the 95 % interval. Baselines use the same labels.",
        *(
            f"{title}: {accuracy} %; calibration error {before} %, {after} % after temperature scaling."
            for title, accuracy, before, after in (_line(name, row) for name, row in rows.items())
        ),
        *newest["notes"],
        f"Confusion matrix of the {first['title']}: rows are true classes, columns predicted ones, counts over all splits.",
    )
    confusion = confusion_image(torch.tensor(first["confusion"]), tuple(newest["classes"]))
    chart = accuracy_chart([_bar(row) for row in rows.values()])
    figures = (Figure(chart, "accuracy of each method"), Figure(confusion, f"confusion matrix of the {first['title']}"))
    return ReportSection("Classification", _ORDER, text, tuple((figure,) for figure in figures))


def _bar(row: Mapping[str, Any]) -> Bar:
    accuracy = Measurement.of(row["metrics"]["accuracy"])
    return Bar(row["title"], accuracy.value, *accuracy.bounds, row["baseline"])


def _read(path: Path) -> dict[str, Any] | None:
    """Return a stored evaluation; None where the file is damaged or is of another format."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        used = ("rows", "labels", "splits", "classes", "weights", "measured", "notes")
        return content if all(name in content for name in used) and content["rows"] else None
    except (OSError, ValueError, TypeError):
        return None


_TRAIN = """Train a classifier on features of a model and store it beside the run.

Its probabilities are calibrated by temperature scaling on the validation images. It replaces an earlier one.
"""

_EVALUATE = """Evaluate methods of classification on the test images, with few labels or all.

Each method is fitted to several balanced choices of labelled training images. Printed beside it, with the same labels: probe and
nearest neighbours of raw pixels and of principal components, the network without pretraining, and the classifiers of the model
itself and of 'classify train' where there are any. Nothing is chosen by labels that a method is not given.
"""

_PREDICT = """Predict the classes of your own images with the stored classifier.

Writes a table with file, class and calibrated probability; files that cannot be read are listed with an empty class.
"""

APPLICATION = Application(
    name="classify",
    description=__doc__,
    needs=(AMORTIZED_LATENT_SPACE, HasFeatures),
    actions=(
        Action("train", _TRAIN, TrainClassifierConfig, _train),
        Action("evaluate", _EVALUATE, EvaluateClassifierConfig, _evaluate),
        Action("predict", _PREDICT, PredictConfig, _predict),
    ),
    examples=(
        "simulacra classify evaluate runs/first --labels 100",
        "simulacra classify evaluate runs/first --labels 1000 --method self-training,fine-tune",
        "simulacra classify train runs/first --method probe",
        "simulacra classify predict runs/first --input photos/ --out classes.csv",
    ),
    section=_section,
)

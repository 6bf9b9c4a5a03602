"""Classify images by features of a model: train a classifier, evaluate methods with few labels, predict classes.

Features are the latents of models with an encoder, and features of the denoiser of diffusion and flow models.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simulacra.applications.application import Action, Application, ApplicationResult
from simulacra.classification import methods
from simulacra.classification.confusion import confusion_image
from simulacra.classification.evaluation import (
    EvaluationRequest,
    Row,
    evaluate_methods,
    label_note,
    own_row,
    stored_row,
    temperature_of,
    validation_scores,
)
from simulacra.classification.prediction import COLUMNS, predict
from simulacra.classification.problem import ALL, Problem, parse_labels, require_classes
from simulacra.classification.store import has_classifier, make_classification_folder, read_classifier, write_classifier
from simulacra.classification.summary import evaluation_content, evaluation_section, evaluation_text
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, HasFeatures
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.files import write_json
from simulacra.core.progress import Progress
from simulacra.images.files import check_png, check_table, save_png, write_table
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path
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
    out: str = option("", f"a .png file of the confusion matrix of the first method (default: confusion.png {IN_IMAGES})")


@dataclass(frozen=True)
class PredictConfig(Config):
    """Settings of predictions."""

    input: str = option("", "images of your own: a file, folder or archive; required")
    out: str = option("", f"a .csv or .json file (default: classes.csv {IN_IMAGES})")


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
        "validation": validation_scores(opened, fitted.classifier.decision_function(inputs.validation), temperature),
    }
    path = write_classifier(opened, fitted.classifier, facts)
    note = label_note(opened, labels)
    held = facts["validation"]
    scores = f"; accuracy {100 * held['accuracy']:.2f} % on {held['n']:,} validation images" if held else ""
    text = f"{method.title} on {inputs.name}, {len(problem.rows):,} labels{scores}, temperature {temperature:.3f}, in {path}"
    return ApplicationResult({"path": str(path), **facts, "notes": [note] if note else []}, "\n".join(filter(None, (text, note))))


def _evaluate(opened: OpenedRun, settings: EvaluateClassifierConfig, progress: Progress) -> ApplicationResult:
    """Evaluate methods and baselines on the test images, and store the result for the report."""
    labels, chosen = parse_labels(settings.labels), methods.parse_methods(settings.method)
    path = check_png(output_path(opened.run, settings, "confusion", ".png"))
    require_classes(opened)
    request = EvaluationRequest(chosen, labels, settings.splits, settings.seed, settings.steps)
    extra, notes = _other_rows(opened, labels)
    rows = evaluate_methods(opened, request, progress)
    rows = [*rows[: len(chosen)], *extra, *rows[len(chosen) :]]
    content = evaluation_content(opened, rows, settings.labels, settings.seed, notes)
    stored = make_classification_folder(opened) / f"evaluation_{labels or ALL}.json"
    write_json(stored, content)
    save_png(confusion_image(rows[0].confusion, opened.spec.classes), path)
    text = evaluation_text(content)
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


def _predict(opened: OpenedRun, settings: PredictConfig, progress: Progress) -> ApplicationResult:
    """Classify images with the stored classifier, and write a table."""
    if not settings.input:
        raise UsageError("no --input: name an image, or a folder or archive of images")
    path = check_table(output_path(opened.run, settings, "classes", ".csv"))
    stored = read_classifier(opened)
    found = predict(opened, stored, Path(settings.input), progress)
    write_table(path, COLUMNS, found.rows(), found.table())
    content = {"path": str(path), "count": len(found.images), "temperature": stored.temperature, **found.table()}
    return ApplicationResult(content, found.text(path))


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
        Action("train", _TRAIN, TrainClassifierConfig, _train, following=("classify predict {run} --input FOLDER",)),
        Action("evaluate", _EVALUATE, EvaluateClassifierConfig, _evaluate),
        Action("predict", _PREDICT, PredictConfig, _predict),
    ),
    examples=(
        "simulacra classify evaluate runs/first --labels 100",
        "simulacra classify evaluate runs/first --labels 1000 --method self-training,fine-tune",
        "simulacra classify train runs/first --method probe",
        "simulacra classify predict runs/first --input photos/ --out classes.csv",
    ),
    section=evaluation_section,
)

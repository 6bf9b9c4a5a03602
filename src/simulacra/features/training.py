"""Training a feature extractor: once for each data set and seed, with the result in the cache; interrupted trainings resume."""

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from simulacra.core.errors import DataError, NotApplicable, UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import stream
from simulacra.data.dataset import Dataset, Split
from simulacra.engine import checkpoint
from simulacra.engine.duration import Duration
from simulacra.engine.hardware import channels_last, keep_memory
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import TrainConfig
from simulacra.features import cache as weights
from simulacra.features import networks as extractors
from simulacra.features.classifier import (
    ClassifierObserver,
    Score,
    classifier_trainer,
    correct,
    recipe,
    trained,
    training_meter,
)
from simulacra.features.extractor import Classifier, Extractor
from simulacra.images.files import make_folder
from simulacra.runs.lock import in_turn
from simulacra.runs.provenance import now, provenance

Facts = Mapping[str, Any]

_VALIDATION = 1000  # validation images that are scored during training
_TIMED = 0.5  # seconds of steps that are timed to predict the duration of a training
_WAIT = 1.0  # seconds between attempts to acquire a lock
_WITHOUT_EFFECT = ("device", "threads", "snapshots", "checkpoint_every", "keep", "log_every", "labels")  # on the weights


class NotTrained(DataError):
    """A feature extractor is needed that is not trained yet. settings: with which it would be."""

    def __init__(self, kind: str, data: Dataset, settings: TrainConfig) -> None:
        super().__init__(f"{kind} is not trained on {data.name}: use 'simulacra extractor train {kind}'")
        self.kind, self.data, self.settings = kind, data, settings


def train_extractor(
    kind: str,
    data: Dataset,
    overrides: Mapping[str, object],
    progress: Progress = SILENT,
    *,
    any_settings: bool = False,
    cached: bool = False,
) -> Extractor:
    """Return the extractor trained on these data with these settings (those of TrainConfig, by name); train it if not cached.

    Without a duration among the settings, training ends when it has converged on validation images, at the latest after the
    duration that fits the data. It replaces an extractor with the same seed and other settings, unless `any_settings` accepts
    such a cached one. With `cached`, none is trained. Raises NotApplicable for data without classes, UsageError for an extractor
    that is not trained by the toolkit, NotTrained with `cached` where there is none.
    """
    if reason := unsuited(kind, data):
        raise NotApplicable(reason)
    settings = recipe(trainable(kind), len(data.train), overrides)
    wanted = None if any_settings else _identity(settings.table())
    folder = weights.place(kind, data, settings.seed)
    stored = _stored(folder, wanted, SILENT if cached else progress)
    if stored is None and cached:
        raise NotTrained(kind, data, settings)
    if stored is None:
        early = "duration" not in overrides
        with _alone(folder, progress):
            stored = _stored(folder, wanted, SILENT) or _train(kind, data, settings, folder, progress, early)
        progress.message(describe(stored.facts))
    return _ready(kind, stored)


def trainable(kind: str) -> type[Classifier]:
    """Return the class of an extractor that the toolkit trains; raises UsageError for any other."""
    network = extractors.find(kind)
    if issubclass(network, Classifier):
        return network
    raise UsageError(f"{kind} is not trained by the toolkit: it is {network.summary}")


def unsuited(kind: str, data: Dataset) -> str:
    """Return why no classifier can be trained on these data, and the remedy; empty if one can."""
    if reason := unreadable(kind, data):
        return reason
    if len(data.spec.classes) > 1:
        return ""
    held = "one class" if data.spec.classes else "no classes"
    return (
        f"{kind} is trained to classify the data, and {data.name} has {held}: sort the images into one folder for each class, or "
        f"use an extractor that is trained on other data, such as {kind}:{trainable(kind).example}"
    )


def unreadable(kind: str, data: Dataset) -> str:
    """Return why an extractor cannot process these images, and the remedy; empty if it can."""
    if data.spec.channels in (1, 3):
        return ""
    return f"{kind} processes images with 1 or 3 channels, and {data.name} has {data.spec.channels}: use --channels 1 or 3"


def _stored(folder: Path, wanted: Facts | None, progress: Progress) -> weights.Stored | None:
    """Return the extractor in the cache, if its settings are those wanted (None: any); None if it must be trained."""
    try:
        stored = weights.read(folder)
    except weights.DamagedWeights as error:
        progress.message(f"warning: {error}. It is trained again")
        return None
    if stored is None or wanted is None or wanted == _identity(stored.facts["settings"]):
        return stored
    progress.message(f"{stored.facts['name']} with seed {stored.facts['seed']} was trained with other settings and is replaced")
    return None


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of an extractor; wait while another process trains it."""
    make_folder(folder)
    messages = [f"another process is training this extractor, in {folder}: waiting for it"]

    def wait() -> None:
        if messages:
            progress.message(messages.pop())
        time.sleep(_WAIT)

    with in_turn(folder, wait):
        yield


def expected_seconds(missing: NotTrained) -> float:
    """Return the longest duration of the training of an extractor in seconds, by the time of its first steps."""
    if (duration := Duration.parse(missing.settings.duration)).unit == "seconds":
        return duration.amount
    with stream(missing.settings.seed, "initialize"):
        classes = len(missing.data.spec.classes)
        trainer = classifier_trainer(trainable(missing.kind), missing.data.train, classes, missing.settings)
        trainer.play()
        began, first = time.perf_counter(), trainer.step
        while time.perf_counter() - began < _TIMED or trainer.step == first:
            trainer.play()
    each = (time.perf_counter() - began) / (trainer.step - first)
    return each * (trainer.total or 0)


def untrained(missing: NotTrained) -> Extractor:
    """Return the extractor with random weights, for the time that it takes."""
    classes = missing.data.spec.classes
    network = trainable(missing.kind)(len(classes)).eval()
    channels_last(network)
    return Extractor(missing.kind, network, "", classes, {})


def _train(  # noqa: PLR0917
    kind: str, data: Dataset, settings: TrainConfig, folder: Path, progress: Progress, early: bool
) -> weights.Stored:
    """Train, measure the accuracy, and store; the test images are used once, at the end, so nothing is chosen on them.

    early: whether training ends when it has converged.
    """
    keep_memory()
    beginning = {name: fact for name, fact in provenance(data, "").items() if name != "command"}
    with stream(settings.seed, "initialize"):
        trainer = classifier_trainer(trainable(kind), data.train, len(data.spec.classes), settings)
        _announce(kind, data, trainer, folder, progress, early)
        key = sha256(json.dumps(_identity(settings.table())).encode()).hexdigest()[:8]
        unfinished = folder / f"training-{key}"
        scores = _continue(trainer, unfinished, progress)
        with training_meter(trainer, f"training {kind}", progress) as meter:
            observer = ClassifierObserver(meter, data.validation[:_VALIDATION])
            observer.scores = scores
            observer.store = lambda trainer, state: _keep(trainer, state, observer.scores, unfinished)
            trainer.run(observer, observer.converged if early else lambda: False)
    network = trained(trainer)
    labelled = [split for split in (data.validation, data.test) if len(split) and split.labels is not None]
    facts = {
        "name": f"{kind}:{data.name}",
        "extractor": kind,
        **network.facts(),
        "seed": settings.seed,
        "accuracy": {split.name: _accuracy(network, split, progress) for split in labelled},
        "settings": settings.table(),
        "steps": trainer.step,
        "converged": early and observer.converged(),
        "training_seconds": round(trainer.seconds, 1),
        "ended": now(),
        **beginning,
    }
    stored = weights.write(folder, network.state_dict(), facts)
    for leftover in folder.glob("training-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return stored


def describe(facts: Facts) -> str:
    """Return a line with name, seed, training time and accuracy of a trained extractor."""
    scores = facts["accuracy"].items()
    accuracy = "".join(f"; accuracy {100 * item['value']:.2f} % on {item['n']:,} {name} images" for name, item in scores)
    return f"{facts['name']}, seed {facts['seed']}, trained for {facts['training_seconds']:,.0f} s{accuracy}"


def _announce(kind: str, data: Dataset, trainer: Trainer, folder: Path, progress: Progress, early: bool) -> None:  # noqa: PLR0917
    length = trainer.settings.duration
    if trainer.total is not None:
        length = f"{trainer.total * trainer.settings.batch:,} images" + (", less if it converges before" if early else "")
    progress.message(
        f"training the feature extractor {kind} on {data.name} ({len(data.train):,} images, {len(data.spec.classes)} classes), "
        f"once: {length}. The result is stored in {folder}"
    )


def _keep(trainer: Trainer, state: checkpoint.Checkpoint, scores: Sequence[Score], folder: Path) -> None:
    """Store the state of an unfinished training and its scores, to resume from it."""
    if trainer.done < 1:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.write(folder, trainer.step, replace(state, facts={**state.facts, "scores": list(scores)}), keep=1)


def _continue(trainer: Trainer, folder: Path, progress: Progress) -> list[Score]:
    """Resume an interrupted training, which gives the same weights; return the scores so far."""
    if not checkpoint.paths(folder):
        return []
    try:
        stored, _ = checkpoint.read_newest(folder)
    except (checkpoint.DamagedCheckpoint, checkpoint.IncompatibleCheckpoint):
        return []
    trainer.restore(stored)
    progress.message(f"resuming at step {trainer.step:,}")
    return [(accuracy, loss) for accuracy, loss in stored.facts.get("scores", [])]


def _accuracy(network: Classifier, images: Split, progress: Progress) -> dict[str, Any]:
    with progress.task(f"accuracy, {images.name}", len(images), "images") as meter:
        hits = correct(network, images, meter).double()
    error = hits.std().item() / math.sqrt(len(hits)) if len(hits) > 1 else 0.0
    return {"value": hits.mean().item(), "standard_error": error, "n": len(hits)}


def _ready(kind: str, stored: weights.Stored) -> Extractor:
    classes = tuple(stored.facts["data"]["classes"])
    with torch.device("meta"):
        network = trainable(kind)(len(classes))
    network.load_state_dict(dict(stored.tensors), assign=True)
    channels_last(network)
    return Extractor(stored.facts["name"], network, stored.facts["sha256"], classes, stored.facts)


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that determine the weights."""
    return {name: value for name, value in settings.items() if name not in _WITHOUT_EFFECT}

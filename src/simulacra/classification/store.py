"""Classifiers stored beside the run whose features they use: a description in JSON and tensors in a safetensors file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor

from simulacra.classification.classifier import Classifier
from simulacra.classification.methods import Method, find
from simulacra.core.errors import DataError, UsageError
from simulacra.core.files import write_bytes, write_json
from simulacra.core.text import quoted
from simulacra.images.files import make_folder
from simulacra.runs.opened import OpenedRun, check_images

FORMAT = 1
_FACTS = "classifier.json"


@dataclass(frozen=True)
class StoredClassifier:
    """A classifier of a run: its method, its temperature, and its description, ready for JSON."""

    method: Method
    classifier: Classifier
    temperature: float
    facts: Mapping[str, Any]

    def probabilities(self, opened: OpenedRun, images: Tensor) -> Tensor:
        """Return calibrated probabilities float64 [n c] of images [n c h w] in [0, 1]."""
        return self.classifier.predict_proba(self.method.inputs(opened).of(images), self.temperature)


def write_classifier(opened: OpenedRun, classifier: Classifier, facts: Mapping[str, Any]) -> Path:
    """Store a classifier in the run folder, in the place of an earlier one; return the path of its description.

    facts: at least `method` and `temperature`, to which the classes, the step, and the digests of the weights of the run and of
    the tensors are added. The tensors are written first, so that the description always names tensors that exist.
    """
    folder = make_classification_folder(opened)
    plain = {
        name: tensor.detach().contiguous(memory_format=torch.contiguous_format) for name, tensor in classifier.tensors.items()
    }
    content = serialize_tensors(plain)
    digest = sha256(content).hexdigest()
    name = f"{digest[:16]}.safetensors"
    own = {"classes": list(opened.spec.classes), "step": opened.step, "weights": opened.digest}
    write_bytes(folder / name, content)
    write_json(folder / _FACTS, {"format": FORMAT, **facts, **own, "tensors": name, "sha256": digest})
    for other in set(folder.glob("*.safetensors")) - {folder / name}:
        other.unlink(missing_ok=True)
    return folder / _FACTS


def make_classification_folder(opened: OpenedRun) -> Path:
    """Return the folder of classifiers of a run, which exists; raises Unwritable."""
    make_folder(opened.run.classification)
    return opened.run.classification


def has_classifier(opened: OpenedRun) -> bool:
    """Return whether a classifier is stored in the run folder."""
    return (opened.run.classification / _FACTS).is_file()


def read_classifier(opened: OpenedRun) -> StoredClassifier:
    """Return the classifier stored in the run folder.

    Raises UsageError where there is none or where it belongs to other weights, such as those before further training; DataError
    where it is damaged.
    """
    path = opened.run.classification / _FACTS
    again = f"train it with `simulacra classify train {quoted(opened.run.path)}`"
    if not path.is_file():
        raise UsageError(f"{opened.run.path} has no classifier: {again}")
    try:
        facts = json.loads(path.read_text())
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']}, expected {FORMAT}")  # noqa: TRY301
        content = (path.parent / facts["tensors"]).read_bytes()
        if sha256(content).hexdigest() != facts["sha256"]:
            raise ValueError(f"{facts['tensors']} has another SHA-256 than when it was written")  # noqa: TRY301
        tensors, temperature, step = parse_tensors(content), float(facts["temperature"]), int(facts["step"])
        weights, method, classes = str(facts["weights"]), find(facts["method"]), len(facts["classes"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{path} is damaged ({error}): {again}") from error
    if weights != opened.digest:
        raise UsageError(f"the classifier of {opened.run.path} is of other weights, those of step {step:,}: {again}")
    return StoredClassifier(method, method.load(opened, tensors, classes), temperature, facts)


def classify(opened: OpenedRun, images: Tensor) -> Tensor:
    """Return the calibrated probability of each class, float64 [n c], of images [n c h w] in [0, 1].

    By the classifier stored in the run folder, which `classify train` makes. Raises UsageError, DataError as `read_classifier`.
    """
    return read_classifier(opened).probabilities(opened, check_images(images, opened.spec))

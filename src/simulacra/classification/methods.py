"""The methods of classification, with everything fixed in advance: no setting is chosen by labels that a method is not given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.classification import augmentation, network, spreading
from simulacra.classification.classifier import N_NEIGHBORS, TOLERANCE, Classifier, NeighborsClassifier, ProbeClassifier
from simulacra.classification.network import BATCH, NetworkClassifier, new_network, train_network
from simulacra.classification.problem import Problem
from simulacra.classification.representation import Representation, images, model_features
from simulacra.classification.spreading import SpreadingClassifier
from simulacra.core.errors import unknown
from simulacra.core.randomness import derive
from simulacra.data.batches import Batches
from simulacra.data.semi_supervised import UNKNOWN, SemiSupervised
from simulacra.features.linear_probe import STRENGTH, LinearProbe
from simulacra.runs.opened import OpenedRun

Tensors = Mapping[str, Tensor]

_NODES = 20_000  # training images in the graph of label spreading, and the labelled ones
_SPREAD_SHARE = 0.8  # of the nodes of each class whose spread labels self-training begins with: the most confident
_SELF_TRAINING_NODES = 10_000
_ROUNDS = 2


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier, and the facts of its protocol that are known after fitting only."""

    classifier: Classifier
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """One way to classify.

    title: in words; inputs: the representation that it is fitted to and classifies; fit: to the features of that representation;
    load: from the stored tensors and the number of classes; steps: default number of training steps, 0 without any; protocol:
    what is fixed.
    """

    name: str
    title: str
    inputs: Callable[[OpenedRun], Representation]
    fit: Callable[[Problem, Representation], Fitted]
    load: Callable[[OpenedRun, Tensors, int], Classifier]
    protocol: Mapping[str, Any]
    steps: int = 0
    unlabelled: bool = False

    def facts(self, problem: Problem, inputs: Representation) -> dict[str, Any]:
        """Return what is fixed before fitting, ready for JSON."""
        steps = {"steps": steps_of(problem, self.steps)} if self.steps else {}
        return {"method": self.name, "inputs": inputs.name, **self.protocol, **steps}


def steps_of(problem: Problem, default: int) -> int:
    """Return the number of training steps: that of the problem, or the default."""
    return problem.steps or default


def fit_probe(problem: Problem, inputs: Representation) -> Fitted:
    """Fit the linear probe to the labelled images."""
    classifier, converged = ProbeClassifier.fit(inputs.training(problem.rows), problem.known, problem.classes)
    return Fitted(classifier, {"converged": converged})


def fit_neighbors(problem: Problem, inputs: Representation) -> Fitted:
    """Store the labelled images."""
    return Fitted(NeighborsClassifier(inputs.training(problem.rows), problem.known, problem.classes), {})


def _fit_spreading(problem: Problem, inputs: Representation) -> Fitted:
    """Spread the labels over the first 20,000 training images and the labelled ones; held-out images are not in the graph."""
    problem.require_unlabelled("spreading")
    nodes = _nodes(problem, _NODES)
    points, labels = inputs.training(nodes), problem.labels_of(nodes)
    classifier = SpreadingClassifier.fit(points, labels, problem.classes, problem.progress)
    return Fitted(classifier, {"nodes": len(nodes)})


def fit_network(problem: Problem, *, pretrained: bool = True) -> Fitted:
    """Train the encoder and a linear layer on the labelled images; not pretrained: from random weights."""
    start = new_network(problem.opened, problem.classes, problem.seed, pretrained=pretrained)
    source = Batches(problem.split[problem.rows], min(BATCH, len(problem.rows)), problem.seed)
    steps = steps_of(problem, _FINE_TUNE_STEPS)
    with problem.progress.task("fine-tuning" if pretrained else "training without pretraining", steps, "steps") as meter:
        found = train_network(problem.opened, start, source, steps, problem.seed, meter)
    return Fitted(NetworkClassifier(found, problem.opened.device), {"batch": source.size})


def _fit_self_training(problem: Problem, inputs: Representation) -> Fitted:
    """Alternate label spreading and training, twice (Iscen et al. 2019): first on latents, then on features of the network.

    Half of each batch has the given labels and the most confident spread labels; the other half are all training images, with
    pseudo-labels of the network itself.
    """
    problem.require_unlabelled("self-training")
    opened, seed, steps = problem.opened, problem.seed, steps_of(problem, _SELF_TRAINING_STEPS)
    nodes = _nodes(problem, _SELF_TRAINING_NODES)
    found = new_network(opened, problem.classes, seed, pretrained=True)
    with problem.progress.task("self-training", steps, "steps") as meter:
        for turn in range(_ROUNDS):
            features = found.features(inputs.training(nodes), opened.device)
            spread = SpreadingClassifier.fit(features, problem.labels_of(nodes), problem.classes)
            labels = np.full(len(problem.split), UNKNOWN)
            labels[nodes] = confident_labels(spread.probabilities, problem.labels_of(nodes)).numpy()
            used = np.flatnonzero(labels != UNKNOWN)
            batches = SemiSupervised(replace(problem.split, labels=labels), used, _even(min(BATCH, len(problem.split))), seed)
            share = steps * (turn + 1) // _ROUNDS - steps * turn // _ROUNDS
            found = train_network(opened, found, batches, share, derive(seed, "round", turn), meter)
    return Fitted(NetworkClassifier(found, opened.device), {"nodes": len(nodes), "spread_labels": len(used)})


def _nodes(problem: Problem, most: int) -> NDArray[np.int64]:
    """Return the training images of a graph: the first ones, and all that have labels."""
    return np.union1d(np.arange(min(most, len(problem.split))), problem.rows)


def _even(number: int) -> int:
    return number - number % 2


def confident_labels(probabilities: Tensor, given: Tensor, share: float = _SPREAD_SHARE) -> Tensor:
    """Return classes int64 [n]: those given, and of each predicted class the most confident `share` of images; -1 for others.

    probabilities: [n c], without an order of ties other than that of the rows; given: int64 [n], -1 where there is none.
    """
    confidence, predicted = probabilities.max(1)
    labels = torch.full_like(given, UNKNOWN)
    for label in predicted.unique():
        members = (predicted == label).nonzero()[:, 0]
        order = confidence[members].argsort(descending=True, stable=True)
        labels[members[order[: round(share * len(members))]]] = label
    return torch.where(given == UNKNOWN, labels, given)


def _load_network(opened: OpenedRun, tensors: Tensors, classes: int) -> Classifier:
    found = new_network(opened, classes, 0, pretrained=False)
    found.load_state_dict(dict(tensors))
    return NetworkClassifier(found, opened.device)


def _load_spreading(opened: OpenedRun, tensors: Tensors, classes: int) -> Classifier:
    return SpreadingClassifier(tensors["points"], tensors["widths"], tensors["probabilities"])


def _load_probe(opened: OpenedRun, tensors: Tensors, classes: int) -> Classifier:
    return ProbeClassifier(LinearProbe(**tensors))


def _load_neighbors(opened: OpenedRun, tensors: Tensors, classes: int) -> Classifier:
    return NeighborsClassifier(tensors["points"], tensors["labels"], classes)


_FINE_TUNE_STEPS, _SELF_TRAINING_STEPS = 600, 900
_SPREADING_FACTS = {"alpha": spreading.ALPHA, "n_neighbors": spreading.N_NEIGHBORS, "weights": "self-tuning Gaussian"}
_NETWORK_FACTS = {"network": "encoder of the model, batch normalization, linear layer", "augmentation": augmentation.DESCRIPTION}

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            "probe",
            "linear probe",
            model_features,
            fit_probe,
            _load_probe,
            {"classifier": f"multinomial logistic regression, L2, C = {STRENGTH:g}, standardized", "tolerance": TOLERANCE},
        ),
        Method(
            "knn",
            f"{N_NEIGHBORS} nearest neighbours",
            model_features,
            fit_neighbors,
            _load_neighbors,
            {"n_neighbors": N_NEIGHBORS, "distance": "Euclidean"},
        ),
        Method(
            "spreading",
            "label spreading",
            model_features,
            _fit_spreading,
            _load_spreading,
            _SPREADING_FACTS,
            unlabelled=True,
        ),
        Method(
            "fine-tune",
            "fine-tuned encoder",
            images,
            lambda problem, inputs: fit_network(problem),
            _load_network,
            _NETWORK_FACTS,
            steps=_FINE_TUNE_STEPS,
        ),
        Method(
            "self-training",
            "self-training",
            images,
            _fit_self_training,
            _load_network,
            {**_NETWORK_FACTS, "threshold": network.THRESHOLD, "rounds": _ROUNDS, "spread_share": _SPREAD_SHARE},
            steps=_SELF_TRAINING_STEPS,
            unlabelled=True,
        ),
    )
}


def find(name: str) -> Method:
    """Return the method of a name; raises UsageError that suggests the nearest."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def parse_methods(text: str) -> tuple[Method, ...]:
    """Return the methods in a comma-separated text; raises UsageError for an unknown name or for none."""
    return tuple(find(name) for name in dict.fromkeys(part.strip() for part in text.split(",")))

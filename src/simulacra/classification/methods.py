"""The methods of classification, with everything fixed in advance: no setting is chosen by labels that a method is not given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from simulacra.classification import augmentation, network, spreading
from simulacra.classification.classifier import N_NEIGHBORS, Classifier, NeighborsClassifier, ProbeClassifier
from simulacra.classification.network import BATCH, NetworkClassifier, new_network, train_network
from simulacra.classification.problem import Problem
from simulacra.classification.representation import Representation, images, model_features
from simulacra.classification.spreading import SpreadingClassifier
from simulacra.core.errors import unknown
from simulacra.core.randomness import derive
from simulacra.data.batches import Batches
from simulacra.data.semi_supervised import SemiSupervised
from simulacra.features.linear_probe import STRENGTH, TOLERANCE, LinearProbe
from simulacra.runs.opened import OpenedRun

Tensors = Mapping[str, Tensor]

_NODES = 20_000  # training images in the graph of label spreading, and the labelled ones
_LABELLED_SHARE = 0.2  # of the steps of self-training: those without pseudo-labels


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
    nodes = np.union1d(np.arange(min(_NODES, len(problem.split))), problem.rows)
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
    """Train on the labelled images alone first, then on all (Sohn et al. 2020).

    In the second part half of each batch are labelled images, and the other half are images from the whole training split with
    pseudo-labels of the network itself.
    """
    problem.require_unlabelled("self-training")
    steps, seed, size = steps_of(problem, _SELF_TRAINING_STEPS), problem.seed, _even(min(BATCH, len(problem.split)))
    start = new_network(problem.opened, problem.classes, seed, pretrained=True)
    labelled = Batches(problem.split[problem.rows], min(BATCH, len(problem.rows)), seed)
    everything = SemiSupervised(problem.split, problem.rows, size, seed)
    alone = max(1, round(_LABELLED_SHARE * steps))
    with problem.progress.task("self-training", steps, "steps") as meter:
        found = train_network(problem.opened, start, labelled, alone, derive(seed, "part", 0), meter)
        if steps > alone:
            found = train_network(problem.opened, found, everything, steps - alone, derive(seed, "part", 1), meter)
    return Fitted(NetworkClassifier(found, problem.opened.device), {"batch": size})


def _even(number: int) -> int:
    return number - number % 2


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


_FINE_TUNE_STEPS, _SELF_TRAINING_STEPS = 600, 1500
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
            {**_NETWORK_FACTS, "threshold": network.THRESHOLD, "labelled_share": _LABELLED_SHARE},
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

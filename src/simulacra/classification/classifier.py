"""What a classifier is: logits of features, by the names of scikit-learn; and the linear probe and nearest neighbours."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.core.progress import SILENT
from simulacra.features.linear_probe import ITERATIONS, LinearProbe, fit_linear_probe
from simulacra.metrics.knn_accuracy import class_votes
from simulacra.metrics.statistics.measurement import require

N_NEIGHBORS = 5
"""Of the probe: the largest derivative of its mean loss at the end."""

_WORK = 3e10  # values of features that a probe may read; more iterations of large problems would take minutes


class Classifier(ABC):
    """Assigns logits of c classes to features, whose form is that of the features that it was fitted to."""

    @abstractmethod
    def decision_function(self, features: Tensor) -> Tensor:
        """Return logits float64 [n c] on the CPU; their softmax gives probabilities before calibration."""

    @property
    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """Everything that was fitted, by name, on the CPU."""

    def predict(self, features: Tensor) -> Tensor:
        """Return the most probable class of each image, int64 [n]; the lowest number where several are."""
        return self.decision_function(features).argmax(1)

    def predict_proba(self, features: Tensor, temperature: float = 1.0) -> Tensor:
        """Return the probability of each class, float64 [n c]: softmax(logits / temperature)."""
        return torch.softmax(self.decision_function(features) / temperature, 1)


class ProbeClassifier(Classifier):
    """A linear probe: multinomial logistic regression on standardized features."""

    def __init__(self, probe: LinearProbe) -> None:
        self.probe = probe

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor, count: int) -> tuple[Self, bool]:
        """Fit to features [n d] with classes int64 [n] in 0..count-1; return the probe, and whether it converged to 1e-8.

        The number of iterations is limited to 2,000, and for large problems to those that read 3e10 values. Raises DataError
        where all images have one class.
        """
        if len(labels.unique()) < 2:
            raise DataError("all labelled images have one class, expected at least two classes: label images of another class")
        iterations = min(ITERATIONS, max(100, int(_WORK / features.numel())))
        probe, converged = fit_linear_probe(features, labels, count, iterations=iterations)
        return cls(probe), converged

    def decision_function(self, features: Tensor) -> Tensor:
        """Return the logits of the regression."""
        return self.probe.logits(features)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Mean, scale, weight and bias."""
        return vars(self.probe)


@dataclass(frozen=True)
class NeighborsClassifier(Classifier):
    """k nearest neighbours by Euclidean distance of the features without scaling, with equal votes.

    points: [m d] with classes `labels`, int64 [m] in 0..count-1. Equal votes count for the class with the lowest number. The
    probability before calibration is (votes + 1 / c) / (k + 1), so that no class is impossible.
    """

    points: Tensor
    labels: Tensor
    count: int
    n_neighbors: int = N_NEIGHBORS

    def __post_init__(self) -> None:
        require("k nearest neighbours", "labelled images", len(self.points), self.n_neighbors, "label more images")

    def decision_function(self, features: Tensor) -> Tensor:
        """Return the logarithms of the probabilities."""
        with SILENT.task("votes", len(features), "images") as meter:
            votes = class_votes(self.points, self.labels, features, self.count, meter, n_neighbors=self.n_neighbors)
        return ((votes.double() + 1 / self.count) / (self.n_neighbors + 1)).log()

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Points and labels."""
        return {"points": self.points, "labels": self.labels}

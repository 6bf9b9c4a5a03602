"""The problem that a method solves: a trained model, training images of which some have labels, a seed, a number of steps."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Split
from simulacra.data.semi_supervised import UNKNOWN, labelled_rows
from simulacra.runs.opened import OpenedRun

ALL = "all"
_MOST = 60_000  # training images that are used where all have labels


def parse_labels(text: str) -> int:
    """Return the number of labelled images in a setting, 0 for all; raises UsageError.

    >>> parse_labels("all"), parse_labels("100")
    (0, 100)
    """
    if text == ALL:
        return 0
    if not text.isdecimal() or int(text) == 0:
        raise UsageError(f"--labels is {text!r}, expected a number of training images such as 100, or all")
    return int(text)


def require_classes(opened: OpenedRun) -> None:
    """Raise UsageError for data without classes."""
    if len(opened.spec.classes) < 2 or opened.dataset.train.labels is None:
        name = opened.run.provenance["data"]["name"]
        raise UsageError(f"classification needs images of at least two classes, and {name} has none: use labelled images")


@dataclass(frozen=True)
class Problem:
    """One choice of labelled training images.

    labels: their number, 0 for all; seed: chooses them, and draws all random numbers of the methods; steps: training steps of
    networks, 0 for the default of each method.
    """

    opened: OpenedRun
    labels: int
    seed: int = 0
    steps: int = 0
    progress: Progress = SILENT

    @cached_property
    def split(self) -> Split:
        """The training images with the class of each; methods use those of `rows` only."""
        train = self.opened.dataset.train
        return replace(train, labels=train.class_labels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.opened.spec.classes)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The labelled training images, int64 [m]: the same number of each class up to one, a function of (labels, seed)."""
        if self.labels == 0:
            return np.arange(min(len(self.split), _MOST))
        return labelled_rows(self.split, self.opened.spec.classes, self.labels, self.seed)

    @cached_property
    def known(self) -> Tensor:
        """The classes of the labelled images, int64 [m]."""
        assert self.split.labels is not None
        return torch.from_numpy(np.asarray(self.split.labels)[self.rows])

    def labels_of(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the classes of some training images, int64 [n]: -1 for all but the labelled ones."""
        given = np.full(len(self.split), UNKNOWN)
        given[self.rows] = self.known.numpy()
        return torch.from_numpy(given[rows])

    def require_unlabelled(self, method: str) -> None:
        """Raise UsageError where all training images have labels."""
        if len(self.rows) >= len(self.split):
            raise UsageError(f"{method} needs images without labels, and all have one: give a number as --labels, such as 100")

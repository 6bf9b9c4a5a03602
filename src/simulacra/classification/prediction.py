"""Classes and probabilities of images of one's own, and the tables of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simulacra.classification.store import StoredClassifier
from simulacra.core.progress import Progress
from simulacra.data.dataset import to_floats
from simulacra.data.load import fitted_items, no_images, reading
from simulacra.data.source import Item, Skip
from simulacra.runs.opened import OpenedRun

_CHUNK = 256  # images that are classified at once
COLUMNS = ("file", "class", "probability")
_LISTED = 10  # predictions in the terminal, at most


@dataclass(frozen=True)
class Prediction:
    """The most probable class of an image file, and its calibrated probability in [0, 1]."""

    file: str
    label: str
    probability: float


@dataclass(frozen=True)
class Predictions:
    """Predictions in the order of the files, and the files that were skipped, with the reason."""

    images: tuple[Prediction, ...]
    skipped: tuple[tuple[str, str], ...]

    def table(self) -> dict[str, Any]:
        """Return the predictions and skipped files, ready for JSON."""
        return {
            "images": [{"file": item.file, "class": item.label, "probability": item.probability} for item in self.images],
            "skipped": [{"file": file, "reason": reason} for file, reason in self.skipped],
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Return file, class and probability of each prediction, and of each skipped file, with an empty class."""
        predicted = [(item.file, item.label, f"{item.probability:.6f}") for item in self.images]
        return [*predicted, *((file, "", "") for file, _ in self.skipped)]

    def text(self, path: Path) -> str:
        """Return the first predictions, the number of them, and all skipped files; path: of the table that was written."""
        lines = [f"{item.file}: {item.label} ({100 * item.probability:.1f} %)" for item in self.images[:_LISTED]]
        rest = len(self.images) - len(lines)
        lines += [f"and {rest:,} more"] if rest else []
        lines += [f"{len(self.images):,} images classified, in {path}"]
        lines += [f"skipped {file}: {reason}" for file, reason in self.skipped]
        return "\n".join(lines)


def predict(opened: OpenedRun, stored: StoredClassifier, path: Path, progress: Progress) -> Predictions:
    """Return the predictions for an image file, or for the images of a folder, archive or array file, of any size.

    Images are fitted to the size of the model's, as those of the training. Raises DataError where nothing can be read.
    """
    skipped: list[Skip] = []
    found: list[Prediction] = []
    with reading(path, opened.spec) as held, progress.task("classifying", held.count, "images") as meter:
        for group in _groups(_readable(fitted_items(held.items, opened.spec), skipped)):
            pixels = np.stack([item.pixels for item in group])
            probabilities = stored.probabilities(opened, to_floats(torch.from_numpy(pixels)))
            best, labels = probabilities.max(1)
            names = [opened.spec.classes[label] for label in labels.tolist()]
            found += [Prediction(item.name, *pair) for item, *pair in zip(group, names, best.tolist(), strict=True)]
            meter.advance(len(group))
    if not found:
        raise no_images(path, skipped)
    pairs = sorted((item.name, item.reason) for item in skipped)
    return Predictions(tuple(sorted(found, key=lambda item: item.file)), tuple(pairs))


def _readable(items: Iterable[Item | Skip], skipped: list[Skip]) -> Iterator[Item]:
    """Yield the items that can be read; add the others to `skipped`."""
    for item in items:
        if isinstance(item, Skip):
            skipped.append(item)
        else:
            yield item


def _groups(items: Iterator[Item]) -> Iterator[list[Item]]:
    while group := list(islice(items, _CHUNK)):
        yield group

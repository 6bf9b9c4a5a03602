"""Classes of conditional models: how many there are, and how noise draws one where none is asked for."""

import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError

_FEWEST = 2  # classes that can be told apart


def classes_of(data: DataSpec, conditional: bool) -> int:
    """Return how many classes a model tells apart, 0 if none; raises UsageError for a conditional model of unlabelled images."""
    if not conditional:
        return 0
    if len(data.classes) < _FEWEST:
        held = "one class" if data.classes else "no classes"
        raise UsageError(f"a conditional model needs images of several classes, and these have {held}: leave --conditional out")
    return len(data.classes)


def noise_size(noise: int, classes: int) -> int:
    """Return the numbers of noise that make an image: its own, and one that draws the class."""
    return noise + bool(classes)


def drawn_classes(noise: Tensor, labels: Tensor | None, classes: int) -> tuple[Tensor, Tensor | None]:
    """Return the images' part of noise [b d+1] and the labels [b], where there are classes.

    Labels that are not given are drawn by the last number u of the noise: class floor(classes * Phi(u)), which is uniform, and
    a function of an image's own noise alone. Labels that are given leave the rest of the noise as it is.
    """
    if not classes:
        return noise, None
    if labels is None:
        labels = (torch.special.ndtr(noise[:, -1].float()) * classes).long().clamp_max(classes - 1)
    return noise[:, :-1], labels

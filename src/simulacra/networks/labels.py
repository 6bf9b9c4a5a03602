"""Labels of conditional models: how many values they have, how noise draws them, how networks receive them.

Labels are int64 [b] for one property, [b k] for k attributes. `sizes` is the number of values of each property.
"""

import math
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError


def label_sizes(data: DataSpec, conditional: bool, remedy: str = "leave --conditional out") -> tuple[int, ...]:
    """Return the label sizes of a model, empty if it is unconditional; raises UsageError where images do not differ in labels."""
    if not conditional:
        return ()
    if math.prod(data.label_sizes) == 1:
        held = "one class" if data.classes else "no classes"
        raise UsageError(f"a conditional model needs images of several classes, and these have {held}: {remedy}")
    return data.label_sizes


def every_label(sizes: tuple[int, ...]) -> Tensor:
    """Return all labels, int64 [n], or [n k] for k properties; that of the last property varies fastest.

    >>> every_label((3,)).tolist(), every_label((2, 2)).tolist()
    ([0, 1, 2], [[0, 0], [0, 1], [1, 0], [1, 1]])
    """
    return torch.cartesian_prod(*(torch.arange(size) for size in sizes))


def drawn_labels(noise: Tensor, labels: Tensor | None, sizes: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Split noise [b d+k] for k label sizes: return the noise [b d] of the images, and the labels.

    Labels that are not given are drawn by the last k numbers u of the noise: floor(size * Phi(u)), which is uniform and a
    function of an image's own noise alone. Given labels leave the noise [b d] as it is.
    """
    if not sizes:
        return noise, None
    if labels is None:
        columns = noise[:, -len(sizes) :].unbind(1)
        labels = _joined([number_drawn(column, size) for column, size in zip(columns, sizes, strict=True)])
    return noise[:, : -len(sizes)], labels


def number_drawn(noise: Tensor, size: int) -> Tensor:
    """Return floor(size * Phi(u)) of standard normal numbers u [b]: uniform in 0..size-1, int64 [b]."""
    return (torch.special.ndtr(noise.float()) * size).long().clamp_max(size - 1)


def one_hot(labels: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the one-hot vectors of all properties, concatenated: int64 [b sum(sizes)]."""
    columns = labels.view(len(labels), -1).unbind(1)
    return torch.cat([F.one_hot(column, size) for column, size in zip(columns, sizes, strict=True)], 1)


def scaled_one_hot(labels: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return one-hot vectors times the square root of their size, float32 [b sum(sizes)].

    The mean square of every input is then 1, as that of standard normal latents, so that labels are learned as fast.
    """
    scales = torch.tensor([math.sqrt(size) for size in sizes for _ in range(size)], device=labels.device)
    return one_hot(labels, sizes) * scales


def unknown_labels(count: int, sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return labels that stand for no value: the size of each property."""
    return _joined([torch.full((count,), size, device=device) for size in sizes])


class LabelEmbedding(nn.Embedding):
    """Returns the sum of one vector for each property: [b features]. `unknown`: the size itself is a further label."""

    def __init__(self, sizes: tuple[int, ...], features: int, *, unknown: bool = False) -> None:
        rows = [size + unknown for size in sizes]
        super().__init__(sum(rows), features)
        self.starts = list(accumulate(rows, initial=0))[:-1]  # of each property's rows in the table

    def forward(self, labels: Tensor) -> Tensor:
        """Return the embedding [b features] of labels."""
        columns = labels.view(len(labels), -1).unbind(1)
        vectors = [nn.Embedding.forward(self, column + start) for column, start in zip(columns, self.starts, strict=True)]
        return vectors[0] if len(vectors) == 1 else torch.stack(vectors).sum(0)


def _joined(columns: list[Tensor]) -> Tensor:
    return columns[0] if len(columns) == 1 else torch.stack(columns, 1)

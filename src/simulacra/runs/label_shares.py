"""Labels of generated images in the shares in which they occur among real images, and labels that do not occur."""

import numpy as np
import torch
from torch import Tensor

from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.data.dataset import Dataset, Split
from simulacra.networks.labels import number_drawn

CLASS_SHARES = "class_shares"
"""The fact in the protocol of numbers of a conditional model: its value is `OF_TRAINING`."""
OF_TRAINING = "those of the training images"


def untrained_labels(data: Dataset) -> list[str]:
    """Return the labels that no training image has: names of classes, or `attribute=value` of several attributes.

    Empty for images without labels, and for streamed ones, of which only a sample is known.
    """
    if data.train.labels is None or data.stream is not None:
        return []
    named = [(f"{item.name}=", item.values) for item in data.spec.attributes] or [("", data.spec.classes)]
    columns = data.train.labels.reshape(len(data.train), -1).T
    return [
        f"{prefix}{values[number]}"
        for (prefix, values), column in zip(named, columns, strict=True)
        for number in np.flatnonzero(np.bincount(column, minlength=len(values)) == 0)
    ]


class LabelShares:
    """Draws for each generated image the label of a real image, every real image with equal probability.

    A conditional model draws labels uniformly where none are given, which is another distribution than that of the data where
    some classes are rare. Several attributes are drawn jointly. Where all classes have equal shares, the labels are those that
    the model draws itself.
    """

    def __init__(self, split: Split, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self._sorted: Tensor | None = None
        if sizes and split.labels is not None and len(split):
            order = np.lexsort(split.labels.reshape(len(split), -1).T[::-1])
            self._sorted = torch.from_numpy(np.asarray(split.labels[order], np.int64))

    @property
    def facts(self) -> dict[str, str]:
        """Facts for protocols; empty of a model without labels."""
        return {} if self._sorted is None else {CLASS_SHARES: OF_TRAINING}

    def condition(self, noise: Tensor) -> Condition:
        """Return the labels of images of noise [b d+k] for k label sizes; no condition of a model without labels."""
        if self._sorted is None:
            return UNCONDITIONAL
        first = noise[:, -len(self._sizes)]  # the number of the first property, as in `drawn_labels`
        return Condition(self._sorted[number_drawn(first.cpu(), len(self._sorted))])

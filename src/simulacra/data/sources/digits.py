"""The digits of scikit-learn: the default data set, which needs no download."""

import numpy as np

from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig
from simulacra.data.source import Block, Material, array_material

_TEST = 297  # of 1,797: leaves 1,500 for training and validation
_LEVELS = 16  # the brightest value


class Digits:
    """Optical recognition of handwritten digits (Alpaydin & Kaynak 1998), 17 grey levels."""

    name = "digits"
    summary = "handwritten digits included in scikit-learn: no download"
    size = "1,500 + 297 images, 8x8 grey, 10 classes"

    def place(self) -> str | None:
        """Return that the images are part of an installed package."""
        return "embedded"

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the images, with a fixed set of test images."""
        return array_material(self.name, self.name, _blocks, tuple("0123456789"))


def _blocks() -> list[Block]:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = np.rint(values.reshape(-1, 8, 8, 1) * (255 / _LEVELS)).astype(np.uint8)
    labels = labels.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    test, train = order[:_TEST], order[_TEST:]
    return [Block("train", images[train], labels[train]), Block("test", images[test], labels[test])]


SOURCE = Digits()

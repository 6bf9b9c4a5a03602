"""The digits of scikit-learn, 17 grey levels (Alpaydin & Kaynak 1998): the default data set, which needs no download."""

import numpy as np

from simulacra.data.source import Block, LocalSource, array_material

_TEST = 297  # of 1,797: leaves 1,500 for training and validation
_LEVELS = 16  # the brightest value


def _blocks() -> list[Block]:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = np.rint(values.reshape(-1, 8, 8, 1) * (255 / _LEVELS)).astype(np.uint8)
    labels = labels.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    test, train = order[:_TEST], order[_TEST:]
    return [Block("train", images[train], labels[train]), Block("test", images[test], labels[test])]


_DIGITS = array_material("digits", "digits", _blocks, tuple("0123456789"))
_SUMMARY = "handwritten digits included in scikit-learn: no download"
_SIZE = "1,500 + 297 images, 8x8 grey, 10 classes"
SOURCE = LocalSource("digits", _SUMMARY, _SIZE, "embedded", lambda config, progress: _DIGITS)

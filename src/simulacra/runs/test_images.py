"""The choice of test images that applications and reports display."""

import numpy as np

from simulacra.core.batch import Batch
from simulacra.core.errors import DataError, UsageError
from simulacra.core.randomness import permutation
from simulacra.data.dataset import Dataset, Split
from simulacra.runs.opened import OpenedRun

_PAIR = 2  # images of an interpolation
_LEAST = 2  # test and validation images that a report needs


def choose_images(split: Split, count: int, seed: int, default: int) -> Batch:
    """Return `count` images of a split, chosen by the seed; count 0 takes `default` images, or all where there are fewer.

    Raises UsageError for more images than there are, DataError where there are none.
    """
    if not len(split):
        raise DataError("there are no test images: give images of your own with --input, or train on data with more images")
    if count == 0:
        count = min(default, len(split))
    if not 1 <= count <= len(split):
        raise UsageError(f"count is {count}, expected between 1 and {len(split)}, the number of images in the test set")
    return split.batch(permutation(len(split), seed, "shown")[:count])


def reference_images(dataset: Dataset, count: int) -> Batch:
    """Return the first `count` validation images, or training images where there are fewer than two of them."""
    return (dataset.validation if len(dataset.validation) > 1 else dataset.train).head(count)


def overview_images(opened: OpenedRun, count: int, domain: str = "") -> Batch:
    """Return the first `count` test images, or all where there are fewer, of one domain where there are several.

    Raises UsageError for data other than those of the training, DataError for data that cannot be read or are too few.
    """
    data = opened.run.check_data(opened.dataset)
    for part in (data, *data.domains.values()):
        if min(len(part.test), len(part.validation)) < _LEAST:
            raise DataError(f"there are only {len(part.test)} images for testing and {len(part.validation)} for validation")
    return data[domain].test.head(count) if domain else data.test.head(count)


def choose_pairs(split: Split, count: int, seed: int, default: int) -> tuple[Batch, Batch]:
    """Return pairs of images, of different classes where there are classes; 0: `default`, or as many as there are images for.

    Raises UsageError for a number that is out of range, DataError for fewer than two images.
    """
    if len(split) < _PAIR:
        advice = "use --between noise with a model that generates images, or train on data with more images"
        raise DataError(f"an interpolation needs {_PAIR} test images, and the data have {len(split)}: {advice}")
    if count == 0:
        count = min(default, len(split) // 2)
    if not 1 <= count <= len(split) // 2:
        raise UsageError(f"rows is {count}, expected between 1 and {len(split) // 2}, half of the number of test images")
    order = permutation(len(split), seed, "pairs")
    starts, ends = order[:count], order[count:]
    if split.labels is not None:
        labels = split.labels.reshape(len(split), -1)[:, 0]
        others = [ends[row:][labels[ends[row:]] != labels[start]] for row, start in enumerate(starts)]
        ends = np.array([found[0] if len(found) else ends[row] for row, found in enumerate(others)])
    return split.batch(starts), split.batch(ends[:count])

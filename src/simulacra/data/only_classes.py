"""Restriction of a data set to the images of some classes, which models of normal images are trained on."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from simulacra.core.errors import DataError, UsageError, unknown
from simulacra.core.text import comma_separated
from simulacra.data.dataset import Dataset, Split


def class_numbers(data: Dataset, names: Sequence[str]) -> list[int]:
    """Return the numbers of classes by name, ascending; raises UsageError for an unknown class, or data without classes."""
    labelled = all(split.class_labels is not None for split in data.splits)
    return numbers_among(data.spec.classes if labelled else (), names, data.name)


def numbers_among(classes: Sequence[str], names: Sequence[str], title: str) -> list[int]:
    """Return the numbers of names among the classes of data with this title, ascending; raises UsageError.

    names: a name with commas may be divided there, as `--only-classes` does; of several readings the longest name counts.
    """
    if not classes:
        raise UsageError(f"{title} has images without classes, so that --only-classes cannot select any: leave it out")
    numbers = {comma_separated(name): number for number, name in enumerate(classes)}
    found, rest = set[int](), [part for name in names for part in comma_separated(name)]
    while rest:
        length = next((length for length in range(len(rest), 0, -1) if tuple(rest[:length]) in numbers), 0)
        if not length:
            raise unknown(f"class of {title}", rest[0], classes)
        found.add(numbers[tuple(rest[:length])])
        del rest[:length]
    return sorted(found)


def no_training_image(title: str, chosen: str) -> DataError:
    """Return the error for data without a training image of the chosen classes."""
    return DataError(f"{title} has no training image of class {chosen}: choose other classes with --only-classes")


def images_of(split: Split, numbers: Sequence[int], limit: int = 0) -> Split:
    """Return the images of a split, in their order, whose class has one of these numbers; at most `limit`, unless it is 0."""
    assert split.class_labels is not None
    rows = np.flatnonzero(np.isin(split.class_labels, list(numbers)))
    return split[rows[:limit] if limit else rows]


def only_classes(data: Dataset, names: Sequence[str], limit: int = 0) -> Dataset:
    """Return a data set with the images of some classes in each split; of the training images at most `limit`, unless it is 0.

    The split of an image, the names of classes and their numbers do not change. The digest is of the classes as well, so that
    results of the whole data set are never taken for those of the restricted one. Raises UsageError for an unknown class and
    for streamed data, DataError where there is no training image.
    """
    if data.stream is not None:
        advice = f"add --limit {len(data.train)} to train on a random sample of that size"
        raise UsageError(f"{data.name} is streamed, and --only-classes does not apply to streamed images: {advice}")
    numbers = class_numbers(data, names)
    train = images_of(data.train, numbers, limit)
    chosen = ",".join(data.spec.classes[number] for number in numbers)
    if not len(train):
        raise no_training_image(data.name, chosen)
    digest = sha256(f"{data.digest}|only classes|{chosen}".encode()).hexdigest()
    note = f"only images of class {chosen} are used (--only-classes)"
    validation, test = images_of(data.validation, numbers), images_of(data.test, numbers)
    return replace(data, digest=digest, train=train, validation=validation, test=test, notes=(*data.notes, note))

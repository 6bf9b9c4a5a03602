"""What the colours of a map show: a class, an attribute, the reconstruction error, or a column of a file."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulacra.core.capabilities import Reconstructs, require
from simulacra.core.errors import DataError, UsageError, unknown
from simulacra.core.family import model_condition
from simulacra.data.dataset import Split
from simulacra.maps.palette import marker, scale
from simulacra.runs.opened import OpenedRun

_MOST_NUMBERS = 12  # distinct numbers that are categories; more are a scale
_PERCENTILES = (1.0, 99.0)  # ends of a scale
_INDEX = "index"


@dataclass(frozen=True)
class Coloring:
    """A value of each point: one of some categories, or a number.

    title: what the value is; texts: the value of each of n points, as text; categories: their names; values: int64 [n], numbers
    of categories, or float64 [n] where there are no categories.
    """

    title: str
    texts: tuple[str, ...]
    categories: tuple[str, ...]
    values: NDArray[np.int64] | NDArray[np.float64]

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the scale: the 1st and the 99th percentile of the numbers."""
        low, high = np.percentile(self.values, _PERCENTILES)
        return float(low), float(high)

    def colours(self) -> list[str]:
        """Return the colour of each point."""
        if self.categories:
            return [marker(value)[0] for value in self.values.tolist()]
        low, high = self.limits
        return scale(((self.values - low) / (high - low or 1)).clip(0, 1))


def coloring(opened: OpenedRun, split: Split, indices: NDArray[np.int64], choice: str = "") -> Coloring:
    """Return the colouring of images of a split, by their numbers int64 [n].

    choice: class, score (the reconstruction error), an attribute of the data, or FILE.csv:COLUMN; by default class where there
    are classes. Raises UsageError, NotApplicable, DataError.
    """
    spec = opened.dataset.spec
    known = {"class": spec.classes} if spec.classes and split.labels is not None else {}
    columns = dict.fromkeys(known, 0)
    for at, attribute in enumerate(spec.attributes):
        known[attribute.name], columns[attribute.name] = attribute.values, at
    if not choice:
        choice = "class" if "class" in known else "none"
    if choice in known and split.labels is not None:
        labels = split.labels.reshape(len(split), -1)[indices, columns[choice]]
        texts = [known[choice][label] for label in labels.tolist()]
        return (_categories if choice == "class" else _labelled)(choice, texts, known[choice])
    if choice == "none":
        return Coloring("image", ("",) * len(indices), ("all",), np.zeros(len(indices), np.int64))
    if choice == "score":
        return _numbers("reconstruction error (mse)", reconstruction_errors(opened, split, indices))
    path, colon, column = choice.rpartition(":")
    if colon and path.lower().endswith(".csv"):
        return _of_file(Path(path), column, indices)
    raise unknown("colour", choice, (*known, "score", "none", "FILE.csv:COLUMN"))


def class_coloring(classes: NDArray[np.int64]) -> Coloring:
    """Return the colouring by the numbers of classes [n]."""
    numbers = [str(number) for number in range(int(classes.max()) + 1)]
    return _categories("class", [str(number) for number in classes.tolist()], numbers)


def reconstruction_errors(opened: OpenedRun, split: Split, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the squared errors of reconstructed images, mean over pixels and channels [n]; raises NotApplicable."""
    model = require(opened.model, Reconstructs, "colouring by score")
    batch = split.batch(indices)
    found = opened.apply(model.reconstruct, batch.images, condition=model_condition(opened.model, batch))
    errors: NDArray[np.float64] = ((found - batch.images) ** 2).flatten(1).double().mean(1).numpy()
    return errors


def _labelled(title: str, texts: Sequence[str], names: Sequence[str]) -> Coloring:
    """Return the colouring by labels: a scale where they are more than 12 distinct numbers."""
    if len(names) > _MOST_NUMBERS and all(math.isfinite(number) for number in map(_number, names)):
        return _numbers(title, np.array([_number(text) for text in texts]))
    return _categories(title, texts, names)


def _categories(title: str, texts: Sequence[str], names: Sequence[str]) -> Coloring:
    at = {name: number for number, name in enumerate(names)}
    return Coloring(title, tuple(texts), tuple(names), np.array([at[text] for text in texts], np.int64))


def _numbers(title: str, values: NDArray[np.float64]) -> Coloring:
    return Coloring(title, tuple(f"{value:.4g}" for value in values.tolist()), (), values)


def _of_file(path: Path, column: str, indices: NDArray[np.int64]) -> Coloring:
    """Return the colouring by a column of a CSV file with the numbers of test images in its column `index`."""
    values = _read(path, column)
    if missing := [index for index in indices.tolist() if index not in values]:
        seen = f"{path} has no row of {len(missing)} of the {len(indices)} test images in the map (such as index {missing[0]})"
        raise DataError(f"{seen}: add these rows")
    texts = [values[index] for index in indices.tolist()]
    numbers = np.array([_number(text) for text in texts])
    if np.isfinite(numbers).all():
        return _numbers(column, numbers)
    return _labelled(column, texts, sorted(set(texts)))


def _read(path: Path, column: str) -> Mapping[int, str]:
    """Return the values of a column by the number of the test image; raises DataError, UsageError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = reader.fieldnames or ()
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {getattr(error, 'strerror', None) or error}") from error
    if _INDEX not in names:
        seen = f"{path} has the columns {', '.join(names) or 'none'} and no column {_INDEX!r}"
        raise DataError(f"{seen}: add the number of each test image, from 0, in the order of the test set")
    if column not in names:
        raise unknown(f"column of {path}", column, names)
    found: dict[int, str] = {}
    for line, row in rows:
        text, value = row[_INDEX] or "", row[column]
        if not text.strip().isdecimal() or value is None or not value.strip():
            raise DataError(
                f"{path}, line {line}: got index {text!r} and {column} {value!r}, expected a whole number and a value"
            )
        if found.setdefault(int(text), value.strip()) != value.strip():
            raise DataError(f"{path}, line {line}: a second value of image {text}: remove one")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def check_color(choice: str) -> None:
    """Raise UsageError for a file of values that does not exist, before anything is computed."""
    path, colon, _ = choice.rpartition(":")
    if colon and path.lower().endswith(".csv") and not Path(path).is_file():
        raise UsageError(f"--color names {path}, which is not a file: give FILE.csv:COLUMN")
    if choice.lower().endswith(".csv"):
        raise UsageError(f"--color is {choice!r}, without the name of a column: give {choice}:COLUMN")

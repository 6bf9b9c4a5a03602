"""Labels, attributes and captions of images, from the rows of metadata files."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from posixpath import normpath

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError, unknown
from simulacra.data.formats.metadata import CAPTION, FILE_NAME, FILES, Cell, Row, Table
from simulacra.data.source import Finding

MOST_FLOATS = 1000  # distinct values above which a column of fractions is not categorical
_MANY = 20  # distinct values above which a column is compared with the number of images
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)

Key = tuple[int, str]
"""An image: the number of its container and its normalized path inside."""


@dataclass(frozen=True)
class Annotations:
    """Rows of metadata files by image. tables: with the number of the container and the path of each file inside."""

    tables: tuple[tuple[Key, Table], ...]
    rows: Mapping[Key, tuple[Table, Row]]

    @staticmethod
    def of(tables: Iterable[tuple[Key, Table]]) -> "Annotations":
        """Return the rows of all tables; raises DataError for two rows of one image."""
        held, rows = tuple(tables), dict[Key, tuple[Table, Row]]()
        for (container, file), table in held:
            for row in table.rows:
                key = image_key(container, file, str(row.values[FILE_NAME]))
                if key in rows:
                    first, other = rows[key]
                    raise DataError(
                        f"{table.title}, line {row.line}: second row for {row.values[FILE_NAME]!r}, the first is {first.title}, "
                        f"line {other.line}: remove one"
                    )
                rows[key] = (table, row)
        return Annotations(held, rows)

    def labels(self, images: Sequence[Key], columns: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the values of some columns for each image, as texts.

        Raises UsageError for a column that does not exist, DataError for images without a row and values that are not labels.
        """
        for _, table in self.tables:
            for name in columns:
                if name not in table.columns:
                    raise unknown(f"column of {table.title}", name, table.columns)
        if missing := [key[1] for key in images if key not in self.rows]:
            files = ", ".join(table.title for _, table in self.tables)
            raise DataError(
                f"{len(missing)} of {len(images)} images have no row in {files} (such as {min(missing)}): add rows with their "
                f"{FILE_NAME}, or leave --label-column out"
            )
        return [tuple(_text(*self.rows[key], name) for name in columns) for key in images]

    def captions(self, images: Sequence[Key]) -> list[str] | None:
        """Return the caption of each image, empty where it has none; None if no file has a column of captions."""
        if not any(CAPTION in table.columns for _, table in self.tables):
            return None
        held = (self.rows[key][1].values.get(CAPTION) if key in self.rows else None for key in images)
        return [caption if isinstance(caption, str) else "" for caption in held]

    def notes(self, images: Sequence[Key]) -> list[Finding]:
        """Return notes on rows without an image and images without a caption."""
        notes, known = list[Finding](), set(images)
        if lost := [key for key in self.rows if key not in known]:
            table, row = self.rows[lost[0]]
            count = "1 row of the metadata has" if len(lost) == 1 else f"{len(lost)} rows of the metadata have"
            where = f"{table.title}, line {row.line}: {row.values[FILE_NAME]}"
            notes.append(Finding("rows_without_image", f"{count} no image ({where})", "remove the rows, or add the images"))
        captions = self.captions(images) or ()
        if empty := sum(not caption for caption in captions):
            text = f"{empty} of {len(captions)} images have no caption (column {CAPTION!r})"
            notes.append(Finding("no_caption", text, f"fill in the column {CAPTION!r}"))
        return notes


def image_key(container: int, file: str, name: str) -> Key:
    """Return the key of the image that a row of a metadata file names.

    >>> image_key(0, "set/train/metadata.csv", "./cats//1.png")
    (0, 'set/train/cats/1.png')
    """
    folder = "/".join(file.replace("\\", "/").split("/")[:-1])
    return container, normpath(f"{folder or '.'}/{name}".replace("\\", "/"))


def is_metadata(name: str) -> bool:
    """Return whether a path inside a container is that of a metadata file."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.name in FILES and not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def attributes_of(labels: Sequence[tuple[str, ...]], columns: Sequence[str], title: str) -> tuple[Attribute, ...]:
    """Return the columns with their values in order; raises DataError for a column of fractions with too many values."""
    attributes = tuple(Attribute(name, ordered_values({row[at] for row in labels})) for at, name in enumerate(columns))
    for attribute in attributes:
        values = attribute.values
        if len(values) > MOST_FLOATS and all(map(_NUMBER.fullmatch, values)) and not all(map(_INTEGER.fullmatch, values)):
            raise DataError(
                f"column {attribute.name!r} of {title} has {len(values):,} distinct fractions (such as {values[0]}), which are "
                f"not classes: choose a categorical column, or round the values to at most {MOST_FLOATS:,} distinct ones"
            )
    return attributes


def many_values(attributes: Iterable[Attribute], images: int) -> list[Finding]:
    """Return a note on each attribute that has more values than half of the images."""
    many = [attribute for attribute in attributes if len(attribute.values) > max(_MANY, images / 2)]
    texts = [f"column {attribute.name!r} has {len(attribute.values):,} values for {images:,} images" for attribute in many]
    return [Finding("many_values", text, "check that the column is categorical") for text in texts]


def ordered_values(values: set[str]) -> tuple[str, ...]:
    """Return values in order: by number if all are numbers, else by name.

    >>> ordered_values({"10", "9.5", "-1"}), ordered_values({"red", "blue", "10"})
    (('-1', '9.5', '10'), ('10', 'blue', 'red'))
    """
    if all(_NUMBER.fullmatch(value) for value in values):
        return tuple(sorted(values, key=lambda value: (Decimal(value), value)))
    return tuple(sorted(values))


def _text(table: Table, row: Row, column: str) -> str:
    """Return a value as a text; raises DataError where it is missing or a list."""
    value: Cell = row.values.get(column)
    where = f"{table.title}, line {row.line}: column {column!r}"
    if value is None or value == "":
        raise DataError(f"{where} has no value: fill it in, or remove the image")
    if isinstance(value, list | dict):
        kind = "a list" if isinstance(value, list) else "an object"
        raise DataError(f"{where} holds {kind}, expected one text or number: choose another column with --label-column")
    return value if isinstance(value, str) else json.dumps(value)


def unused(annotations: Annotations) -> list[Finding]:
    """Return a note on each metadata file that is not used for labels."""
    remedy = "add --label-column to use one or several columns as labels, or none"
    held = [(table.title, ", ".join(table.columns) or "none") for _, table in annotations.tables]
    texts = [f"{title} has the columns {columns}: folders are the classes without --label-column" for title, columns in held]
    return [Finding("metadata", text, remedy) for text in texts]

"""Labels and captions from metadata files beside images, as in Hugging Face's imagefolder: a row per image, by `file_name`."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from posixpath import normpath
from unicodedata import normalize

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError, unknown
from simulacra.data.source import Finding

FILES = ("metadata.jsonl", "metadata.csv")
FILE_NAME = "file_name"  # path of the image, relative to the folder of the metadata file
CAPTION = "text"
MOST_FLOATS = 1000  # distinct values above which a column of fractions is not categorical
_MANY = 20  # distinct values above which a column is compared with the number of images
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)

Cell = object
"""One value: text, number or truth value; None where it is missing; list or dict in JSON only."""


@dataclass(frozen=True)
class Row:
    """One row: the path of its file and the line on which it ends, for messages, and its values by column."""

    title: str
    line: int
    values: Mapping[str, Cell]

    @property
    def where(self) -> str:
        """The place of the row, for messages."""
        return f"{self.title}, line {self.line}"


@dataclass(frozen=True)
class Table:
    """A metadata file. title: its path, for messages; columns: all but `file_name`, in order of appearance."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def parse(content: bytes, title: str) -> Table:
    """Return the table of a metadata file; `title` ends in .jsonl or .csv and names the file in messages.

    Raises DataError that names the file and the line for text that is not UTF-8, a malformed line, or a missing `file_name`.
    """
    try:
        text = content.decode("utf-8-sig")  # without the byte order mark that spreadsheets write
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{title}, line {line}: the text is not UTF-8: save the file as UTF-8") from error
    rows = tuple(_csv_rows(text, title) if title.lower().endswith(".csv") else _json_rows(text, title))
    columns = tuple(dict.fromkeys(name for row in rows for name in row.values))
    if FILE_NAME not in columns and (rows or title.lower().endswith(".jsonl")):
        raise _no_file_name(title, columns)
    for row in rows:
        name = row.values.get(FILE_NAME)
        if not isinstance(name, str) or not name:
            raise DataError(f"{row.where}: {FILE_NAME} is {name!r}, expected the path of an image: correct the row")
    return Table(title, tuple(name for name in columns if name != FILE_NAME), rows)


def _no_file_name(title: str, columns: tuple[str, ...]) -> DataError:
    held = f"its columns are {', '.join(map(repr, columns))}" if columns else "it has no columns"
    return DataError(f"{title} has no column {FILE_NAME!r}, {held}: add a column {FILE_NAME!r} with the path of each image")


def _json_rows(text: str, title: str) -> Iterator[Row]:
    # Lines end at a newline only: other separators, such as U+2028, may be part of a text.
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            values = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{title}, line {line}: malformed JSON ({error}): write one JSON object on each line") from error
        if not isinstance(values, dict):
            expected = f"expected a JSON object such as {{{FILE_NAME!r}: ...}}"
            raise DataError(f"{title}, line {line}: {type(values).__name__}, {expected}")
        nan = {name: None for name, value in values.items() if isinstance(value, float) and math.isnan(value)}
        yield Row(title, line, {**values, **nan})


def _csv_rows(text: str, title: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if FILE_NAME not in header:
            raise _no_file_name(title, tuple(header))
        if twice := next((name for at, name in enumerate(header) if name in header[:at]), None):
            raise DataError(f"{title}, line 1: two columns are named {twice!r}: rename one")
        for cells in reader:
            if not cells:
                continue  # an empty line
            if len(cells) != len(header):
                seen = f"{len(cells)} values for {len(header)} columns"
                raise DataError(f"{title}, line {reader.line_num}: {seen}: correct the row")
            yield Row(title, reader.line_num, {name: cell.strip() or None for name, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise DataError(f"{title}, line {reader.line_num}: malformed CSV ({error}): correct the line") from error


Key = tuple[int, str]
"""An image: the number of its container and its normalized path inside."""


@dataclass(frozen=True)
class Annotations:
    """Rows of metadata files by image. tables: with the number of the container and the path of each file inside."""

    tables: tuple[tuple[Key, Table], ...]
    rows: Mapping[Key, Row]

    @staticmethod
    def of(tables: Iterable[tuple[Key, Table]]) -> "Annotations":
        """Return the rows of all tables; raises DataError for two rows of one image."""
        held, rows = tuple(tables), dict[Key, Row]()
        for (container, file), table in held:
            for row in table.rows:
                key = image_key(container, file, str(row.values[FILE_NAME]))
                if (first := rows.setdefault(key, row)) is not row:
                    seen = f"second row for {row.values[FILE_NAME]!r}, the first is {first.where}"
                    raise DataError(f"{row.where}: {seen}: remove one")
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
            seen = f"{len(missing)} of {len(images)} images have no row in {files} (such as {min(missing)})"
            raise DataError(f"{seen}: add rows with their {FILE_NAME}, or leave --label-column out")
        return [tuple(_text(self.rows[key], name) for name in columns) for key in images]

    def captions(self, images: Sequence[Key]) -> list[str | None]:
        """Return the caption of each image, empty where it has none; None for all if no file has a column of captions."""
        if not any(CAPTION in table.columns for _, table in self.tables):
            return [None for _ in images]
        held = (self.rows[key].values.get(CAPTION) if key in self.rows else None for key in images)
        return [caption if isinstance(caption, str) else "" for caption in held]

    def notes(self, images: Sequence[Key]) -> list[Finding]:
        """Return notes on rows without an image and images without a caption."""
        notes, known = list[Finding](), set(images)
        if lost := [key for key in self.rows if key not in known]:
            row = self.rows[lost[0]]
            count = "1 row of the metadata has" if len(lost) == 1 else f"{len(lost)} rows of the metadata have"
            text = f"{count} no image ({row.where}: {row.values[FILE_NAME]})"
            notes.append(Finding("rows_without_image", text, "remove the rows, or add the images"))
        captions = self.captions(images)
        if empty := captions.count(""):
            text = f"{empty} of {len(captions)} images have no caption (column {CAPTION!r})"
            notes.append(Finding("no_caption", text, f"fill in the column {CAPTION!r}"))
        return notes


def image_key(container: int, file: str, name: str) -> Key:
    """Return the key of the image that a row of a metadata file names.

    Letters with accents have one form (NFC): macOS stores them in another one than people type.

    >>> image_key(0, "set/train/metadata.csv", "./cats//1.png")
    (0, 'set/train/cats/1.png')
    """
    folder = "/".join(file.replace("\\", "/").split("/")[:-1])
    return container, normalize("NFC", normpath(f"{folder or '.'}/{name}".replace("\\", "/")))


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
            seen = f"column {attribute.name!r} of {title} has {len(values):,} distinct fractions (such as {values[0]})"
            advice = f"choose a categorical column, or round the values to at most {MOST_FLOATS:,} distinct ones"
            raise DataError(f"{seen}, which are not classes: {advice}")
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


def _text(row: Row, column: str) -> str:
    """Return a value as a text; raises DataError where it is missing or a list."""
    value: Cell = row.values.get(column)
    where = f"{row.where}: column {column!r}"
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

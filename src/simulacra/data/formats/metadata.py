"""Metadata files beside images, in the layout of Hugging Face's imagefolder: one row for each image, found by `file_name`."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from simulacra.core.errors import DataError

FILES = ("metadata.jsonl", "metadata.csv")
FILE_NAME = "file_name"  # path of the image, relative to the folder of the metadata file
CAPTION = "text"

Cell = object
"""One value: text, number or truth value; None where it is missing; list or dict in JSON only."""


@dataclass(frozen=True)
class Row:
    """One row: the line of the file on which it ends, and its values by column."""

    line: int
    values: Mapping[str, Cell]


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
            raise DataError(f"{title}, line {row.line}: {FILE_NAME} is {name!r}, expected the path of an image: correct the row")
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
        yield Row(line, {**values, **nan})


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
            yield Row(reader.line_num, {name: cell.strip() or None for name, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise DataError(f"{title}, line {reader.line_num}: malformed CSV ({error}): correct the line") from error

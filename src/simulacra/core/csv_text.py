"""Tables as the text of a CSV file."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a header and one line for each row, in which None is an empty field.

    >>> csv_text(("file", "score"), [("a,b.png", 0.5), ("c.png", None)]).splitlines()
    ['file,score', '"a,b.png",0.5', 'c.png,']
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()

"""The files of a comparison: CSV and HTML."""

from collections.abc import Callable
from pathlib import Path

from simulacra.core.files import write_text
from simulacra.core.progress import Progress
from simulacra.evaluation.compare import Comparison
from simulacra.images.files import make_folder
from simulacra.reports.comparison_page import comparison_page


def write_comparison(comparison: Comparison, csv: Path | None, html: Path | None, progress: Progress) -> list[Path]:
    """Write a comparison as CSV and as a page, where a path is given; return the paths. Raises Unwritable."""
    contents: list[tuple[Path | None, Callable[[], str]]] = [
        (csv, comparison.csv),
        (html, lambda: comparison_page(comparison, progress)),
    ]
    written = []
    for path, content in contents:
        if path is not None:
            make_folder(path.parent)
            write_text(path, content())
            written.append(path)
    return written

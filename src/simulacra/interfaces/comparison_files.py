"""The files of a comparison: CSV and HTML."""

from pathlib import Path

from simulacra.core.files import write_text
from simulacra.core.progress import Progress
from simulacra.evaluation.compare import Comparison
from simulacra.images.files import make_folder
from simulacra.reports.comparison_page import comparison_page


def write_comparison(comparison: Comparison, csv: Path | None, html: Path | None, progress: Progress) -> list[Path]:
    """Write a comparison as CSV and as a page, where a path is given; return the paths. Raises Unwritable."""
    written = [path for path in (csv, html) if path]
    for path in written:
        make_folder(path.parent)
        write_text(path, comparison.csv() if path == csv else comparison_page(comparison, progress))
    return written

"""Links of pages to files of the repository outside docs/.

A link to the folder `notebooks` leads to the gallery, one to a notebook's source to its executed page, and one to the benchmarks
to a copy of their page; any other file, such as a recipe, is copied into the site by MyST and offered for download.
"""

import re
from pathlib import Path
from typing import Any

from generated_pages import write_page
from sphinx.application import Sphinx

_BENCHMARKS = "reference/benchmarks"
_TO_BENCHMARKS = re.compile(r"\]\((?:\.\./)+benchmarks/RESULTS\.md(?P<anchor>#[\w-]+)?\)")
_TO_GALLERY = re.compile(r"\]\((?:\.\./)+notebooks/?\)")
_TO_NOTEBOOK = re.compile(r"\]\((?:\.\./)+notebooks/(?P<name>\w+)\.py\)")


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    up = "../" * docname.count("/")
    source[0] = _TO_GALLERY.sub(f"]({up}notebooks.md)", source[0])
    source[0] = _TO_BENCHMARKS.sub(lambda match: f"]({up}{_BENCHMARKS}.md{match['anchor'] or ''})", source[0])

    def page(match: re.Match[str]) -> str:
        found = (Path(app.srcdir) / "notebooks" / f"{match['name']}.ipynb").exists()
        return f"]({up}notebooks/{match['name']}.ipynb)" if found else match[0]

    source[0] = _TO_NOTEBOOK.sub(page, source[0])


def _write(app: Sphinx) -> None:
    """Copy the page of the benchmarks, whose links start at its own folder."""
    text = (Path(app.srcdir).parent / "benchmarks" / "RESULTS.md").read_text("utf-8")
    write_page(
        Path(app.srcdir) / f"{_BENCHMARKS}.md", text.replace("](../docs/", "](../").replace("](../recipes/", "](../../recipes/")
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the change of links."""
    app.connect("builder-inited", _write)
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

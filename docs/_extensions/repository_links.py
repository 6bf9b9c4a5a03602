"""Links of pages to files of the repository outside docs/, such as recipes: the file is copied into the site and offered for download.

A link to the folder `notebooks` leads to the gallery.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_GALLERY = re.compile(r"\]\((?P<up>(?:\.\./)+)notebooks/?\)")
_NOTEBOOK = re.compile(r"\]\((?P<up>(?:\.\./)+)notebooks/(?P<name>\w+)\.py\)")


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    up = "../" * docname.count("/")
    source[0] = _GALLERY.sub(f"]({up}notebooks.md)", source[0])

    def target(match: re.Match[str]) -> str:
        found = (app.srcdir / "notebooks" / f"{match['name']}.ipynb").exists()
        return f"]({up}notebooks/{match['name']}.ipynb)" if found else match[0]

    source[0] = _NOTEBOOK.sub(target, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the change of links."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

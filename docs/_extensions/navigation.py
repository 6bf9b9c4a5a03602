"""The navigation of the site from the links of index pages: each section of `index.md` is a part, each link of its lists a page.

So `index.md` is an ordinary page of Markdown on GitHub too, and a page is listed in one place. Titles in the navigation are those
of the links.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_ENTRY = re.compile(r"^\s*(?:[-*|]|\d+\.)\s*\[([^\]]+)\]\(([^)#:]+)\.md\)", re.MULTILINE)


def trees(text: str) -> str:
    r"""Return the toctrees of the sections of an index page.

    >>> print(trees("# Docs\n\n## Guides\n\n- [Data](guides/data.md): sources").strip())
    ```{toctree}
    :hidden:
    :caption: Guides
    <BLANKLINE>
    Data <guides/data>
    ```
    """
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        entries = [f"{title.replace('`', '')} <{page}>" for title, page in _ENTRY.findall(section)]
        if entries:
            found.append(toctree(entries, section.split("\n")[0].strip()))
    return "".join(found)


def toctree(entries: list[str], caption: str = "") -> str:
    """Return a hidden toctree."""
    title = f":caption: {caption}\n" if caption else ""
    return "\n\n```{toctree}\n:hidden:\n" + title + "\n" + "\n".join(entries) + "\n```\n"


def chapters(folder: Path) -> list[str]:
    """Return the pages beside an index page, in the order of their names."""
    return [path.stem for path in sorted(folder.glob("*.md")) if path.stem != "index"]


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == "index":
        source[0] += trees(source[0])
    elif docname.endswith("/index") and "{toctree}" not in source[0] and (pages := chapters(app.srcdir / Path(docname).parent)):
        source[0] += toctree(pages)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the additions to index pages."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

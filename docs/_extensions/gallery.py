"""The gallery of executed notebooks: pages, thumbnails and downloads from build/notebooks, which `make notebooks` writes."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from generated_pages import write_pages
from navigation import toctree
from sphinx.application import Sphinx
from sphinx.util import logging

from simulacra.mathematics import text_of

_INDEX = "notebooks"
_log = logging.getLogger(__name__)


def _notebooks(app: Sphinx) -> dict[str, dict[str, Any]]:
    """Return the executed notebooks by name."""
    folder = Path(app.srcdir).parent / "build" / "notebooks"
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.ipynb"))}


def heading_and_sentence(notebook: dict[str, Any]) -> tuple[str, str]:
    """Return the title of a notebook and the first sentence below it."""
    text = next((_source(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"), "")
    title = next((line.removeprefix("# ") for line in text.split("\n") if line.startswith("# ")), "Notebook")
    body = re.split(r"\n\s*\n", text.partition(title)[2].strip())[0].replace("\n", " ")
    return title.strip(), re.split(r"(?<=[.!?])(?<! al\.)\s", body)[0]


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def thumbnail(notebook: dict[str, Any]) -> bytes | None:
    """Return the first PNG of the outputs."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                return base64.b64decode("".join(picture))
    return None


def with_links_of_the_site(text: str) -> str:
    """Return Markdown whose links to pages and notebooks of the repository lead to those of the site.

    >>> with_links_of_the_site("[VAE](../docs/families/vae.md#loss), [GAN](gan.py), [autoencoder](autoencoder.ipynb)")
    '[VAE](../families/vae.md#loss), [GAN](gan.ipynb), [autoencoder](autoencoder.ipynb)'
    """
    text = re.sub(r"\]\((?:\.\./)?docs/", "](../", text)
    return re.sub(r"\]\(([a-z_]+)\.py\)", r"](\1.ipynb)", text)


def _page(name: str, notebook: dict[str, Any]) -> str:
    """Return a notebook for the site, with a link to the file itself below its title."""
    notebook = {**notebook, "cells": [dict(cell) for cell in notebook["cells"]]}
    texts = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    for cell in texts:
        cell["source"] = with_links_of_the_site(_source(cell))
    first = texts[0]
    title, _, rest = _source(first).partition("\n")
    link = f'<p class="notebook-download"><a href="../_static/notebooks/{name}.ipynb" download>Download {name}.ipynb</a></p>'
    first["source"] = f"{title}\n\n{link}\n{rest}"
    return json.dumps(notebook, ensure_ascii=False, indent=1)


def _write(app: Sphinx) -> None:
    found = _notebooks(app)
    write_pages(Path(app.srcdir) / _INDEX, {f"{name}.ipynb": _page(name, notebook) for name, notebook in found.items()})
    if not found:
        _log.info("build/notebooks holds no executed notebooks: the site is built without them ('make notebooks' runs them)")


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname != _INDEX:
        return
    found = _notebooks(app)
    if not found:
        source[0] += (
            "\n\nThis copy of the site was built without the executed notebooks: `make notebooks docs` builds it with them.\n"
        )
        return
    cards = []
    for name, notebook in found.items():
        title, sentence = heading_and_sentence(notebook)
        picture = f'<img src="_static/notebooks/{name}.png" alt="" loading="lazy">' if thumbnail(notebook) else ""
        cards.append(
            f'<a class="card" href="notebooks/{name}.html">{picture}<b>{_html(title)}</b><span>{_html(sentence)}</span></a>'
        )
    tree = toctree([f"notebooks/{name}" for name in found])
    source[0] += '\n\n<div class="cards">\n' + "\n".join(cards) + "\n</div>\n" + tree


def _html(text: str) -> str:
    """Return text of Markdown as HTML without its marks, with formulas as text."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    plain = re.sub(r"\$([^$]+)\$", lambda found: text_of(found[1]), plain)
    return re.sub(r"[*`]", "", plain).replace("&", "&amp;").replace("<", "&lt;")


def _copy(app: Sphinx, _exception: Exception | None) -> None:
    if app.builder.format != "html" or not (found := _notebooks(app)):
        return
    folder = Path(app.outdir) / "_static" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for name, notebook in found.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", "utf-8")
        if picture := thumbnail(notebook):
            (folder / f"{name}.png").write_bytes(picture)


def _outdated(*_: object) -> list[str]:
    """Return the page of the gallery, which depends on files that Sphinx does not know."""
    return [_INDEX]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the gallery."""
    app.connect("builder-inited", _write)
    app.connect("env-get-outdated", _outdated)
    app.connect("source-read", _read)
    app.connect("build-finished", _copy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Docstrings of the package, plain text with Markdown's backticks, as reStructuredText for autodoc."""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"`([^`]+)`")
_SPECIAL = re.compile(r"([\\*|])|(?<=\w)(_)(?!\w)")


def restructured(lines: list[str]) -> list[str]:
    r"""Return a docstring as reStructuredText: code in backticks, doctests and indented blocks as they are, the rest as text.

    >>> restructured(["Return `noise_` of a_ * b."])
    ['Return ``noise_`` of a\\_ \\* b.']
    """
    result: list[str] = []
    for paragraph in _paragraphs(lines):
        if paragraph[0].lstrip().startswith(">>>"):
            result += [*paragraph, ""]
        elif all(line.startswith("    ") for line in paragraph):
            result += ["::", "", *paragraph, ""]
        else:
            result += [*_text([line.strip() for line in paragraph]), ""]
    return result[:-1]


def _paragraphs(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [paragraph for paragraph in found if paragraph]


def _text(lines: list[str]) -> list[str]:
    """Return the lines of a paragraph; code may continue on the next line, where reStructuredText reads it too."""
    parts = re.split(r"(`[^`]+`)", "\n".join(lines))
    return "".join(_part(part) for part in parts).split("\n")


def _part(part: str) -> str:
    if _CODE.fullmatch(part):
        return f"`{part}`"
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", part)


def _process(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the conversion."""
    app.connect("autodoc-process-docstring", _process)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

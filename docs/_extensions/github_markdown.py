"""Mathematics and diagrams in the forms that GitHub reads: $`...`$, and fences of the kinds math and mermaid."""

import re
from typing import Any

from sphinx.application import Sphinx

_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})(?P<kind>.*)$")
_INLINE = re.compile(r"\$`([^`]+)`\$")
_DIRECTIVES = {"math": "{math}", "mermaid": "{layer-diagram}", "console": "sh"}


def translate(text: str) -> str:
    r"""Return Markdown of GitHub as Markdown of MyST.

    >>> translate("the term $`a_b`$\n```math\nx\n```")
    'the term $a_b$\n```{math}\nx\n```'
    """
    lines, inside = [], ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if inside:
            if match and line.strip() == inside:
                inside = ""
            lines.append(line)
        elif match:
            inside = match["fence"]
            kind = match["kind"].strip()
            lines.append(match["fence"] + _DIRECTIVES.get(kind, kind))
        else:
            lines.append(_INLINE.sub(r"$\1$", line))
    return "\n".join(lines)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if str(app.env.doc2path(docname)).endswith(".md"):
        source[0] = translate(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the translation of sources."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

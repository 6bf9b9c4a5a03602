"""The Markdown of questions, as HTML and as plain text.

Paragraphs, blocks of code between lines of ```, inline `code`, **strong**, *emphasis*, and mathematics in $...$.
"""

import re
from collections.abc import Callable, Mapping
from html import escape

from simulacra.mathematics import mathml_of, text_of

_BLOCKS = re.compile(r"^```\w*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(?P<code>[^`]+)`|\$(?P<formula>[^$]+)\$|\*\*(?P<strong>[^*]+)\*\*|\*(?P<emphasis>[^*\s][^*]*)\*")

Writer = Mapping[str, Callable[[str], str]]  # how each kind of inline text is written; "" for all other text


def html_of(text: str) -> str:
    """Return a text as HTML paragraphs and blocks; everything is escaped. Raises ValueError for mathematics that is not valid.

    >>> html_of("The rate of `vae` is *not* $x^2$ & < 3")
    '<p>The rate of <code>vae</code> is <em>not</em> <math><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math> &amp; &lt; 3</p>'
    """
    found = []
    for number, part in enumerate(_BLOCKS.split(text.strip())):
        if number % 2:
            found.append(f"<pre><code>{escape(part.rstrip())}</code></pre>")
        else:
            found += [f"<p>{inline_html(paragraph.strip())}</p>" for paragraph in part.split("\n\n") if paragraph.strip()]
    return "".join(found)


def inline_html(text: str) -> str:
    """Return a text of one paragraph as HTML without the paragraph's tag."""
    writer: Writer = {
        "": escape,
        "code": lambda code: f"<code>{escape(code)}</code>",
        "formula": mathml_of,
        "strong": lambda inner: f"<strong>{inline_html(inner)}</strong>",
        "emphasis": lambda inner: f"<em>{inline_html(inner)}</em>",
    }
    return re.sub(r" {2,}\n", "<br>", _written(text, writer))


def plain_of(text: str) -> str:
    """Return a text for terminals: without signs of emphasis, mathematics in Unicode. Raises ValueError.

    >>> plain_of("The KL divergence of $N(3, 1)$ is *not* `9`")
    'The KL divergence of N(3, 1) is not `9`'
    """
    writer: Writer = {
        "": str,
        "code": lambda code: f"`{code}`",
        "formula": text_of,
        "strong": plain_of,
        "emphasis": plain_of,
    }
    parts = _BLOCKS.split(text.strip())
    return "".join(part if number % 2 else _written(part, writer) for number, part in enumerate(parts))


def _written(text: str, writer: Writer) -> str:
    found, place = [], 0
    for match in _INLINE.finditer(text):
        kind = match.lastgroup or ""
        found += [writer[""](text[place : match.start()]), writer[kind](match[kind])]
        place = match.end()
    return "".join([*found, writer[""](text[place:])])

"""Markdown for a reader without a browser: formulas as text, no markup of HTML, links to other pages without their addresses."""

import re
from collections.abc import Callable, Iterator

from simulacra.mathematics import text_of

_FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^ *```[^\n]*$", re.DOTALL | re.MULTILINE)
_DISPLAYED = re.compile(r"^\$\$(.+?)\$\$ *$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(\$`[^`]+`\$|`+[^`]+`+)")
_TAGS = re.compile(r"</?(?:details|summary|br|p|div|b|i|em|a|img|sub|sup|kbd)\b[^>]*>")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def readable(markdown: str) -> str:
    r"""Return Markdown whose formulas are text, in blocks named `formula`, without pictures, HTML tags and addresses of pages.

    >>> readable(r"The rate of [VAEs](vae.md#loss) is $\sigma^2$.")
    'The rate of VAEs is σ².'
    """
    parts: list[str] = []
    place = 0
    markdown = _DISPLAYED.sub(lambda found: f"```math\n{found[1].strip()}\n```", markdown)
    for fence in _FENCE.finditer(markdown):
        parts += [_words(markdown[place : fence.start()]), _fenced(*fence.groups())]
        place = fence.end()
    return "".join([*parts, _words(markdown[place:])])


def pages_in(markdown: str, page: str) -> list[str]:
    """Return the names of other pages that a section of a page links to, once each, in their order."""
    links = re.findall(r"\]\(([^)\s#]+\.md)", _FENCE.sub("", markdown))
    folder = page.split("/")[:-1]
    found = dict.fromkeys(name for link in links if (name := _resolved(folder, link)) and name != page)
    return list(found)


def _resolved(folder: list[str], link: str) -> str:
    """Return the name of the page of a relative link; empty for a file outside of the documentation."""
    parts = list(folder)
    for step in link.removesuffix(".md").split("/"):
        if step == "..":
            if not parts:
                return ""
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts) if "://" not in link else ""


def _fenced(indent: str, kind: str, body: str) -> str:
    if kind.strip() == "math":
        lines = text_of(body).splitlines()
        return "\n".join([f"{indent}```formula", *(f"{indent}{line}" for line in lines), f"{indent}```"])
    if kind.strip() == "mermaid" or kind.startswith("{"):
        return ""
    return f"{indent}```{kind}\n{body}{indent}```"


def _words(text: str) -> str:
    """Return a text outside of blocks of code."""
    text = re.sub(r"^ *!\[[^\]]*\]\([^)]*\) *$\n?", "", text, flags=re.MULTILINE)
    text = _TAGS.sub(lambda tag: " " if tag[0] == "<br>" else "", text)
    return _outside_code(text, lambda part: _linked(_formulas(part)))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a text with everything changed but code; a link around code is changed too."""
    kept: list[str] = []

    def keep(found: "re.Match[str]") -> str:
        if found[0].startswith("$`"):
            return f"${found[0][2:-2]}$"
        kept.append(found[0])
        return f"\x00{len(kept) - 1}\x00"

    return re.sub("\x00(\\d+)\x00", lambda found: kept[int(found[1])], change(_CODE.sub(keep, text)))


def _formulas(text: str) -> str:
    def convert(found: "re.Match[str]") -> str:
        return _SPECIAL.sub(r"\\\1", " ".join(text_of(found[1]).split("\n")))

    return re.sub(r"(?<![\\\w])\$([^$\s](?:[^$]*[^$\s])?)\$", convert, text)


def _linked(text: str) -> str:
    """Return a text whose links are their words; the address of a web page follows in brackets."""

    def convert(found: "re.Match[str]") -> str:
        return f"{found[1]} ({found[2]})" if "://" in found[2] else found[1]

    return re.sub(r"(?<!!)\[((?:[^\[\]\\]|\\.)*)\]\(([^)\s]+)\)", convert, re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text))


def lines_of(text: str, width: int) -> Iterator[str]:
    """Yield a formula in lines of at most a width, broken at wide spaces, else before a relation or a sum outside of brackets."""
    for row in text.splitlines():
        while len(row) > width and (cut := _cut(row, width)) > 4:
            yield row[:cut].rstrip()
            row = f"    {row[cut:].strip()}"
        yield row


def _cut(row: str, width: int) -> int:
    """Return where a line is broken; at most 4 if there is no such place."""
    spaces = [place for place in range(5, min(width, len(row) - 1) + 1) if row[place] == " "]
    outer = [place for place in spaces if not _is_open(row[:place])]
    kinds = (
        [place for place in spaces if row[place : place + 3] == "   "],
        [place for place in outer if row[place + 1] in "=≥≤≈∝"],
        [place for place in outer if row[place + 1] in "+−"],  # noqa: RUF001
        outer,
        spaces,
    )
    return next((places[-1] for places in kinds if places), 0)


def _is_open(text: str) -> bool:
    return sum(text.count(bracket) for bracket in "([{") > sum(text.count(bracket) for bracket in ")]}")

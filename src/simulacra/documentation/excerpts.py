"""The parts of a section that name a word: paragraphs, entries of lists, and rows of tables with the titles of their columns."""

import re
from collections.abc import Iterator

from simulacra.documentation.sections import names

_MOST = 6  # parts


def excerpt(text: str, word: str) -> str:
    """Return the parts of a Markdown text that name a word as code, in their order; the first some of many."""
    found = [part for block in _blocks(text) if (part := _part(block, word))]
    return "\n\n".join(found[:_MOST])


def has_entry(text: str, word: str) -> bool:
    """Return whether a list or a table of a Markdown text has an entry that begins with a word.

    >>> has_entry("| `--lr`, `--batch` | ... |", "--lr"), has_entry("- FID: ...", "FID"), has_entry("the `--lr`", "--lr")
    (True, True, False)
    """
    return bool(re.search(rf"^(\| |- )\**`?{re.escape(word)}(?![\w.-])[`*]*( \||,|:|;)", text, re.MULTILINE))


def _blocks(text: str) -> Iterator[str]:
    """Yield paragraphs, lists, tables and blocks of code, which are separated by empty lines outside of code."""
    lines: list[str] = []
    in_code = False
    for line in [*text.splitlines(), ""]:
        in_code ^= line.lstrip().startswith("```")
        if line.strip() or in_code:
            lines.append(line)
        elif lines:
            yield "\n".join(lines)
            lines = []


def _part(block: str, word: str) -> str:
    """Return what names a word in a block, empty if nothing does."""
    if not names(block, word) and not has_entry(block, word):
        return ""
    if block.startswith("|"):
        head, line, *rows = block.splitlines()
        return "\n".join([head, line, *(row for row in rows if names(row, word) or has_entry(row, word))])
    if re.match(r"- |\d+\. ", block):
        return "\n".join(entry for entry in re.split(r"\n(?=- |\d+\. )", block) if names(entry, word))
    return block

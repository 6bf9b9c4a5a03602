"""Markdown in a terminal, through rich: headings on the left, formulas and code indented, tables within the width."""

import io
import re
from collections.abc import Iterator
from typing import ClassVar

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, ImageItem, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulacra.documentation.readable import lines_of, readable

_WIDEST = 100  # columns of text
_COLUMN = 16  # least width of a column of sentences; a table without room for it is shown as a list


def rendered(markdown: str, width: int, *, styled: bool) -> str:
    """Return Markdown as text of at most `width` columns, wrapped at 100; styled: with the control sequences of a terminal."""
    columns = min(width, _WIDEST)
    console = Console(
        file=io.StringIO(), width=columns, force_terminal=styled, color_system="auto" if styled else None, highlight=False
    )
    with console.capture() as captured:
        console.print(_Page(readable(markdown), code_theme="ansi_dark", hyperlinks=False))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


class _Heading(Heading):
    """A heading on the left."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self.text.copy()
        text.justify = "left"
        text.stylize("bold" if self.tag in ("h1", "h2") else "italic bold")
        yield text


class _Code(CodeBlock):
    """An indented block of code, or a formula."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = str(self.text).rstrip()
        width = max(20, options.max_width - 4)
        lines = lines_of(text, width) if self.lexer_name == "formula" else text.splitlines()
        style = "" if self.lexer_name == "formula" else "cyan"
        yield Padding(Text("\n".join(lines), style=style, overflow="fold"), (0, 0, 0, 4))


class _Table(TableElement):
    """A table; where its columns are too narrow to be read, a list of its rows."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        titles = [cell.content for cell in self.header.row.cells] if self.header and self.header.row else []
        rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body else []
        if _is_narrow(titles, rows, options.max_width):
            yield from _listed(titles, rows)
            return
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        for title in titles:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*row)
        yield table


def _is_narrow(titles: list[Text], rows: list[list[Text]], width: int) -> bool:
    """Return whether the columns of a table need more than a width: their longest words, and some room for sentences."""

    def needed(title: Text, *cells: Text) -> int:
        longest = max((cell.cell_len for cell in cells), default=0)
        words = max(len(word) for cell in (title, *cells) for word in ["", *cell.plain.split()])
        return max(words, longest if longest <= _COLUMN else _COLUMN)

    columns = list(zip(titles, *rows, strict=True))
    return sum(needed(*column) for column in columns) + 3 * len(columns) > width


def _listed(titles: list[Text], rows: list[list[Text]]) -> Iterator[Text | Padding]:
    """Yield each row as its first cell, with the others below it after the titles of their columns."""
    for row in rows:
        first, *others = row
        yield Text.assemble("• ", first)
        for title, cell in zip(titles[1:], others, strict=True):
            if cell.plain.strip():
                label = f"{title.plain}: " if title.plain.strip() else ""
                yield Padding(Text.assemble((label, "italic"), cell), (0, 0, 0, 2))


class _Image(ImageItem):
    """A picture, which a terminal does not show."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("")


class _Page(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "table_open": _Table,
        "image": _Image,
    }


def plain(markdown: str) -> str:
    """Return one line of Markdown without its markup.

    >>> plain("**rate** of `--beta`")
    'rate of --beta'
    """
    return re.sub(r"[*`]", "", readable(markdown))

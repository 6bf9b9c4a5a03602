"""Pages as text: within the width, without markup."""

import re

import pytest
from rich.cells import cell_len

from simulacra.documentation import pages
from simulacra.documentation.readable import pages_in, readable
from simulacra.documentation.terminal import rendered

SECTIONS = [
    section for page in pages.names() if not page.startswith("reference/results") for section in pages.page_sections(page)
]


def test_markup_is_left_out_and_code_is_kept():
    text = readable("See [the *page*](a.md#b), $x_i$ and `$y$`.\n\n![picture](a.png)\n<details><summary>Answer</summary>\n")
    assert text.startswith("See the *page*, xᵢ and `$y$`.")
    assert "png" not in text
    assert "<" not in text


def test_links_to_other_pages_are_listed():
    assert pages_in("[a](../families/vae.md#loss), [b](data.md), [c](../../README.md), [d](#here)", "guides/python") == [
        "families/vae",
        "guides/data",
    ]


@pytest.mark.parametrize("width", [60, pytest.param(120, marks=pytest.mark.long)])
def test_every_section_fits_and_has_no_markup(width):
    for section in SECTIONS:
        text = rendered(section.text, width, styled=False)
        plain = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)  # without code and formulas
        assert not re.search(
            r"\]\([^)]*\.md|</?(details|summary)>|[$][a-z\\\\]|\\(frac|mathrm|sigma)|^#+ ", plain, re.MULTILINE
        ), section.place
        long = [line for line in text.splitlines() if cell_len(line) > width and not line.startswith("    ")]
        assert not long, (section.place, long[0])


def test_a_narrow_table_is_a_list():
    table = "| flag | default | description |\n|---|---|---|\n| `--beta` | 1 | the weight of a very long description |\n"
    assert "──" in rendered(table, 80, styled=False)
    narrow = rendered(table, 24, styled=False)
    assert narrow.startswith("• --beta")
    assert "  default: 1" in narrow


def test_a_terminal_gets_styles():
    assert "\x1b[" in rendered("## Title\n\n**bold**", 60, styled=True)
    assert "\x1b[" not in rendered("## Title\n\n**bold**", 60, styled=False)

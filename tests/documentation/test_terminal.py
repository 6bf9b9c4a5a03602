"""Pages as text: within the width, without markup, with readable formulas."""

import re

import pytest
from rich.cells import cell_len

from simulacra.documentation import pages
from simulacra.documentation.formulas import formula
from simulacra.documentation.readable import pages_in, readable
from simulacra.documentation.terminal import rendered

SECTIONS = [
    section for page in pages.names() if not page.startswith("reference/results") for section in pages.page_sections(page)
]
DISPLAYED = r"```math\n(.*?)```|^\$\$(.+?)\$\$$"
FORMULAS = [
    first or second for section in SECTIONS for first, second in re.findall(DISPLAYED, section.text, re.DOTALL | re.MULTILINE)
]


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{a + b}{c}", "(a + b) / c"),
        (r"\frac1K \sum_{k=1}^K w_k", "1/K ∑ₖ₌₁ᴷ wₖ"),
        (r"x^{-1} - x_{ij}", "x⁻¹ − xᵢⱼ"),  # noqa: RUF001
        (r"\mathcal N(0, I)", "𝒩(0, I)"),  # noqa: RUF001
        (r"\underbrace{\mathrm{KL}(q \,\|\, p)}_{\text{rate}}", "KL(q ‖ p) «rate»"),
        (r"\lVert \hat x - x \rVert^2 / D", "‖x̂ − x‖²/D"),  # noqa: RUF001
        (r"\log(1 - D)", "log(1 − D)"),  # noqa: RUF001
        (r"\sqrt{n + 1}", "√(n + 1)"),
        (r"\begin{aligned} a &= b & c &= d \end{aligned}", "a = b\nc = d"),
    ],
)
def test_a_formula_is_text(latex, text):
    assert formula(latex) == text


def test_no_formula_of_the_documentation_keeps_its_markup():
    assert len(FORMULAS) > 40
    for latex in FORMULAS:
        assert not re.search(r"[\\&$\t]|[{}](?![^{}]*[}])|[\ue000-\ue010]", formula(latex).replace("{", "").replace("}", "")), (
            latex
        )


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

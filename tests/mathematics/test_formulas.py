"""Formulas as text and as MathML; every formula of the project is in the subset of LaTeX."""

# ruff: noqa: RUF001 - mathematical characters are meant

import re
import tomllib
from pathlib import Path

import pytest

from simulacra import quizzes
from simulacra.mathematics import mathml_of, text_of

ROOT = Path(__file__).parents[2]
QUESTIONS = sorted(quizzes.FOLDER.glob("*.toml"))
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.py")])
MARKDOWN = re.compile(  # code, or a formula: displayed, or within a line
    r"```math\n(?P<block>.*?)```|```.*?```|^\$\$(?P<displayed>.+?)\$\$|\$`(?P<quoted>[^`]+)`\$|`+[^`]+`+"
    r"|(?<![\\\w$])\$(?P<inline>[^$\s](?:[^$]*[^$\s])?)\$",
    re.DOTALL | re.MULTILINE,
)


def formulas_of(path):
    """Return the formulas of a page, a notebook in the percent format, or a file of questions."""
    text = path.read_text("utf-8")
    if path.suffix == ".toml":
        text = "\n\n".join(_texts(tomllib.loads(text)))
    elif path.suffix == ".py":
        text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines() if line.startswith("#"))
    return [found[found.lastgroup] for found in MARKDOWN.finditer(text) if found.lastgroup]


def _texts(value):
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in inner for text in _texts(part)]


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (r"\frac{a + b}{c}", "(a + b) / c"),
        (r"\frac1K \sum_{k=1}^K w_k", "1/K ∑ₖ₌₁ᴷ wₖ"),
        (r"x^{-1} - x_{ij}", "x⁻¹ − xᵢⱼ"),
        (r"\mathcal N(0, I)", "𝒩(0, I)"),
        (r"\underbrace{\mathrm{KL}(q \,\|\, p)}_{\text{rate}}", "KL(q ‖ p) «rate»"),
        (r"\lVert \hat x - x \rVert^2 / D", "‖x̂ − x‖²/D"),
        (r"\log(1 - D)", "log(1 − D)"),
        (r"\sqrt{n + 1}", "√(n + 1)"),
        (r"\begin{aligned} a &= b & c &= d \end{aligned}", "a = b\nc = d"),
        (r"-\log p(x) \le -\mathrm{ELBO}", "−log p(x) ≤ −ELBO"),
        (r"\arg\max_y p(y)", "arg max_y p(y)"),
        (r"\sqrt{1 - \bar\alpha_t}\, \varepsilon", "√(1 − ᾱₜ) ε"),
        (r"\mathcal N(\mu_y, \sigma_y^2)", "𝒩(μ_y, σ_y²)"),
        (r"x_{t-1}, x', 10^{-5}", "xₜ₋₁, x′, 10⁻⁵"),
        (r"\frac{a + b}{2\sigma^2}", "(a + b) / (2σ²)"),
        (r"p_\text{data}(x \mid z)", "p_data(x | z)"),
        (r"|x - \text{mean}| / \sqrt{16}", "|x − mean|/√16"),
        (r"\langle A x, y \rangle = -\frac12 e^{a_y}", "⟨Ax, y⟩ = −½ e^(a_y)"),
        (r"10 \log_{10} \frac43 + 36{,}864", "10 log₁₀ 4/3 + 36,864"),
        (r"\sum_i -\log \frac{p(x_i)}{q(x_i)} z_i", "∑ᵢ −log [p(xᵢ)/q(xᵢ)] zᵢ"),
        (r"\frac{\frac1k \sum_i \lVert x - n_i \rVert}{\sum_i r(n_i)}", "(1/k ∑ᵢ ‖x − nᵢ‖) / (∑ᵢ r(nᵢ))"),
        (r"e^{-\mathcal L(x)}", "e^(−ℒ(x))"),
    ],
)
def test_formulas_are_readable_as_text(formula, text):
    assert text_of(formula) == text


@pytest.mark.parametrize("formula", [r"\foo", "{x", "x}", "x^", r"\mathbb Q", r"\text{x"])
def test_a_formula_that_is_not_in_the_subset_is_refused(formula):
    with pytest.raises(ValueError, match=r"'"):
        text_of(formula)


def test_formulas_are_mathml_in_browsers():
    fraction = "<mfrac><mn>1</mn><msqrt><mi>x</mi></msqrt></mfrac>"
    assert mathml_of(r"\frac{1}{\sqrt x}") == f"<math><mrow>{fraction}</mrow></math>"
    assert "<mo>&lt;</mo>" in mathml_of("a < b")


def test_every_formula_of_the_project_is_converted():
    formulas = {formula for path in [*PAGES, *QUESTIONS] for formula in formulas_of(path)}
    assert len(formulas) > 850
    for formula in formulas:
        assert not re.search(r"[\\&$\t\u2003]", text_of(formula)), formula
        assert mathml_of(formula).startswith("<math>")

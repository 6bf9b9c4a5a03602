r"""Formulas in a subset of LaTeX, as MathML for browsers and as Unicode text for terminals.

Letters, digits, operators, `^`, `_`, groups, `\frac`, `\sqrt`, accents, `\text`, `\mathbb`, `\mathcal`, `\underbrace`, `aligned`,
`cases`, names of functions, Greek letters and the symbols of symbols.py. Anything else raises ValueError.
"""

# ruff: noqa: RUF001 - mathematical characters are meant

import re
from unicodedata import normalize

from simulacra.mathematics.nodes import Node, Symbol
from simulacra.mathematics.reader import parse
from simulacra.mathematics.row import Row
from simulacra.mathematics.symbols import QUAD

_BREAKS = frozenset("=≤≥≈∝+−")  # operators before which a formula may be broken


def text_of(formula: str) -> str:
    r"""Return a formula as Unicode text on one line; the equations of `aligned` are lines. Raises ValueError.

    Subscripts and superscripts are Unicode characters where all of them exist, otherwise written out. A fraction keeps its
    brackets where its neighbours need them. A label below a brace follows what it labels: KL(q ‖ p) «rate».

    >>> text_of(r"\mathcal N(\mu, \sigma^2)"), text_of(r"\frac{1}{2}(x_i - \hat x_i)^2"), text_of(r"\log p_\theta(x \mid z)")
    ('𝒩(μ, σ²)', '½ (xᵢ − x̂ᵢ)²', 'log p_θ(x | z)')
    >>> text_of(r"\mathbb E_{q_\phi(z \mid x)} \log \frac{p_\theta(x \mid z)\, p(z)}{q_\phi(z \mid x)}")
    '𝔼_(q_φ(z|x)) log [p_θ(x | z) p(z) / q_φ(z | x)]'
    """
    text = re.sub(rf" *({QUAD}+) *", r"\1", parse(formula).text()).replace(QUAD, "  ")
    return normalize("NFC", text.strip())  # letters with accents as one character where there is one


def mathml_of(formula: str) -> str:
    """Return a formula as MathML. Raises ValueError.

    Each relation, plus and minus of the outermost level begins a new element: browsers break lines between elements, not within.

    >>> mathml_of("x^2")
    '<math><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    >>> mathml_of("x = 2")
    '<math><mrow><mi>x</mi></mrow></math><wbr><math><mrow><mo form="infix">=</mo><mn>2</mn></mrow></math>'
    """
    pieces: list[list[Node]] = [[]]
    for part in parse(formula).parts:
        if _breaks(part) and pieces[-1] and not _breaks(pieces[-1][-1]):
            pieces.append([])
        pieces[-1].append(part)
    first, *others = (f"<math>{Row(tuple(piece)).mathml()}</math>" for piece in pieces)
    return "<wbr>".join([first, *(other.replace("<mo>", '<mo form="infix">', 1) for other in others)])


def _breaks(part: Node) -> bool:
    return isinstance(part, Symbol) and part.value in _BREAKS

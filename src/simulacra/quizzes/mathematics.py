r"""A small subset of TeX mathematics, as MathML for browsers and as Unicode text for terminals.

Letters, digits, operators, `^`, `_`, groups, `\frac`, `\sqrt`, accents, `\text`, `\mathbb`, `\mathcal`, names of functions,
Greek letters and the symbols of symbols.py. Anything else raises ValueError.
"""

import re
from collections.abc import Sequence
from unicodedata import normalize

from simulacra.quizzes.formula import Accent, Fraction, Node, Root, Row, Script, Space, Symbol
from simulacra.quizzes.symbols import (
    ACCENTS,
    ALPHABETS,
    ASTERISK,
    BREAKS,
    FUNCTIONS,
    IGNORED,
    MINUS,
    OPERATORS,
    PRIME,
    SPACES,
    SYMBOLS,
)


def text_of(formula: str) -> str:
    r"""Return a formula as Unicode text. Raises ValueError.

    >>> text_of(r"\mathcal N(\mu, \sigma^2)"), text_of(r"\frac{1}{2}(x_i - \hat x_i)^2"), text_of(r"\log p_\theta(x \mid z)")
    ('𝒩(μ, σ²)', '1/2(xᵢ − x̂ᵢ)²', 'log p_θ(x ∣ z)')
    """
    return normalize("NFC", parse(formula).text())  # letters with accents as one character where there is one


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
    return isinstance(part, Symbol) and part.value in BREAKS


def parse(formula: str) -> Row:
    """Return the tree of a formula. Raises ValueError for what the subset does not have."""
    tokens = re.findall(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.", formula, re.DOTALL)
    reader = _Reader(formula, tokens)
    row = reader.row("")
    if reader.place < len(tokens):
        raise ValueError(f"'{formula}' has a closing brace without an opening one")
    return row


class _Reader:
    """Reads the tokens of one formula from left to right."""

    def __init__(self, formula: str, tokens: Sequence[str]) -> None:
        self.formula, self.tokens, self.place = formula, tokens, 0

    def row(self, end: str) -> Row:
        """Read up to a token, which is left unread."""
        parts: list[Node] = []
        while self.place < len(self.tokens) and self.tokens[self.place] != "}":
            token = self.tokens[self.place]
            if token.isspace() or token[1:] in IGNORED:
                self.place += 1
            elif token in "^_":
                parts.append(self._script(parts.pop() if parts else Row(())))
            else:
                parts.append(self._atom())
        if end and self.place >= len(self.tokens):
            raise ValueError(f"'{self.formula}' has an opening brace without a closing one")
        return Row(tuple(parts))

    def _script(self, base: Node) -> Node:
        found: dict[str, Node] = {}
        while self.place < len(self.tokens) and self.tokens[self.place] in "^_":
            sign = self._next()
            found[sign] = self._argument()
        return Script(base, found.get("_"), found.get("^"))

    def _next(self) -> str:
        if self.place >= len(self.tokens):
            raise ValueError(f"'{self.formula}' ends where an argument is expected")
        self.place += 1
        return self.tokens[self.place - 1]

    def _argument(self) -> Node:
        while self.place < len(self.tokens) and self.tokens[self.place].isspace():
            self.place += 1
        return self._atom()

    def _group(self) -> Node:
        row = self.row("}")
        self.place += 1
        return row.parts[0] if len(row.parts) == 1 else row

    def _atom(self) -> Node:
        token = self._next()
        if token == "{":
            return self._group()
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return Symbol(token, "mn")
        if token == "'":
            return Script(Row(()), None, Symbol(PRIME, "mo"))
        return Symbol(token, "mi") if token.isalpha() else Symbol({"-": MINUS, "*": ASTERISK}.get(token, token), "mo")

    def _command(self, name: str) -> Node:
        tables = ((SYMBOLS, "mi"), (OPERATORS, "mo"), ({function: function for function in FUNCTIONS}, "mi"))
        for table, tag in tables:
            if name in table:
                return Symbol(table[name], tag)
        if name in SPACES:
            return Space(SPACES[name])
        if name in ("frac", "tfrac"):
            return Fraction(self._argument(), self._argument())
        if name == "sqrt":
            return Root(self._argument())
        return Accent(name, self._argument()) if name in ACCENTS else self._styled(name)

    def _styled(self, name: str) -> Node:
        if name in ("text", "mathrm", "operatorname", "mathbf", "mathit"):
            return Symbol(self._words(), "mtext")
        if name in ALPHABETS:
            letter = self._argument().text()
            if letter in ALPHABETS[name]:
                return Symbol(ALPHABETS[name][letter], "mi")
            raise ValueError(f"'{self.formula}' has \\{name} of '{letter}', which the subset of TeX does not have")
        raise ValueError(f"'{self.formula}' has \\{name}, which the subset of TeX does not have")

    def _words(self) -> str:
        """Read a group, or one token, as it is."""
        while self._next() == " ":
            pass
        if self.tokens[self.place - 1] != "{":
            return self.tokens[self.place - 1]
        start = self.place
        while self._next() != "}":
            pass
        return "".join(self.tokens[start : self.place - 1])

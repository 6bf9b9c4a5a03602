"""The parts of a formula, each written as MathML and as Unicode text."""

# ruff: noqa: RUF001 - mathematical characters are meant

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape

from simulacra.mathematics.symbols import ACCENTS, IN_TEXT, LOWERED, PARTS, PRIME, RAISED, SPACING_ACCENTS, Kind

_SMALL = "".join([*RAISED.values(), *LOWERED.values()])
_NUMBER = r"\d+(?:[.,]\d+)*"
_LETTER = r"[^\W\d_][\u0300-\u036f]*"
_SINGLE = re.compile(rf"{_NUMBER}|{_LETTER}")
_ATOM = re.compile(  # what needs no brackets below a fraction: a letter or number, its scripts, what it is applied to; |x|
    rf"∂?(?:{_LETTER}|{_NUMBER})(?:[{_SMALL}{PRIME}]|_[\w*]+)*(?:\([^()+−]*\))?|√{_NUMBER}|√\([^()]*\)|\|[^|]*\||½"
)


class Node(ABC):
    """A part of a formula. kind: decides the spaces beside it in text."""

    kind: Kind = "ordinary"

    @abstractmethod
    def text(self, script: bool = False) -> str:
        """Return it as Unicode text. script: within a subscript or superscript, which has no spaces beside operators."""

    @abstractmethod
    def mathml(self) -> str:
        """Return it as MathML."""


@dataclass(frozen=True)
class Symbol(Node):
    """A letter, number, operator, function or text. tag: the MathML element."""

    value: str
    tag: str
    kind: Kind = "ordinary"

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text."""
        return self.value.translate(IN_TEXT)

    def mathml(self) -> str:
        """Return it as MathML."""
        return f"<{self.tag}>{escape(self.value)}</{self.tag}>"


@dataclass(frozen=True)
class Space(Node):
    """A space: narrow, or one or two em spaces."""

    value: str

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text."""
        return "" if script else self.value

    def mathml(self) -> str:
        """Return it as MathML."""
        width = len(self.value) * (0.25 if self.value == " " else 0.5)
        return f'<mspace width="{width}em"></mspace>' if self.value else ""


@dataclass(frozen=True)
class Script(Node):
    """A base with a subscript, a superscript, or both."""

    base: Node
    lower: Node | None
    upper: Node | None

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """Return the kind of the base."""
        return self.base.kind

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text: in raised and lowered characters where all of them exist, otherwise written out."""
        found = self.base.text(script)
        if self.lower:
            found += _small(self.lower.text(True), LOWERED, "_")
        if self.upper:
            found += PRIME if self.upper.text() == PRIME else _small(self.upper.text(True), RAISED, "^")
        return found

    def mathml(self) -> str:
        """Return it as MathML."""
        parts = [self.base, *(part for part in (self.lower, self.upper) if part)]
        tag = "msubsup" if self.lower and self.upper else "msub" if self.lower else "msup"
        return f"<{tag}>{''.join(part.mathml() for part in parts)}</{tag}>"


@dataclass(frozen=True)
class Fraction(Node):
    """A fraction."""

    above: Node
    below: Node

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text, with brackets around sums."""
        above, below = self.above.text(script), self.below.text(script)
        if (above, below) in PARTS:
            return PARTS[above, below]
        above = f"({above})" if re.search("[+−]", _outside(above)) else above
        below = below if _ATOM.fullmatch(below) else f"({below})"
        return f"{above} / {below}" if " " in above + below else f"{above}/{below}"

    def mathml(self) -> str:
        """Return it as MathML."""
        return f"<mfrac>{self.above.mathml()}{self.below.mathml()}</mfrac>"


@dataclass(frozen=True)
class Root(Node):
    """A square root."""

    inner: Node

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text."""
        inner = self.inner.text(script)
        return f"√{inner}" if _SINGLE.fullmatch(inner) else f"√({inner})"

    def mathml(self) -> str:
        """Return it as MathML."""
        return f"<msqrt>{self.inner.mathml()}</msqrt>"


@dataclass(frozen=True)
class Accent(Node):
    """A letter with a hat, bar, tilde or dot; or an expression below a line, which in text is in angle brackets."""

    name: str
    inner: Node

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text."""
        inner = self.inner.text(script)
        return inner + ACCENTS[self.name] if len(inner) == 1 else f"⟨{inner}⟩"

    def mathml(self) -> str:
        """Return it as MathML."""
        return f'<mover accent="true">{self.inner.mathml()}<mo>{SPACING_ACCENTS[self.name]}</mo></mover>'


@dataclass(frozen=True)
class Labelled(Node):
    """An expression above a brace with a label, which follows it in text: KL(q ‖ p) «rate»."""

    inner: Node
    label: Node

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text."""
        return f"{self.inner.text(script)} «{self.label.text()}»"

    def mathml(self) -> str:
        """Return it as MathML."""
        return f"<munder><munder>{self.inner.mathml()}<mo>⏟</mo></munder>{self.label.mathml()}</munder>"


@dataclass(frozen=True)
class Table(Node):
    """The rows of `aligned`, in text one line for each equation of two cells; or those of `cases`, in text on one line."""

    name: str
    rows: tuple[tuple[Node, ...], ...]

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text."""
        pairs = [row[place : place + 2] for row in self.rows for place in range(0, len(row), 2)]
        lines = [" ".join(cell.text() for cell in pair) for pair in pairs]
        return ("; " if self.name == "cases" else "\n").join(lines)

    def mathml(self) -> str:
        """Return it as MathML."""
        rows = ("".join(f"<mtd>{cell.mathml()}</mtd>" for cell in row) for row in self.rows)
        table = f"<mtable>{''.join(f'<mtr>{row}</mtr>' for row in rows)}</mtable>"
        return f"<mo>{{</mo>{table}" if self.name == "cases" else table


def _small(text: str, characters: dict[str, str], sign: str) -> str:
    """Return a subscript (sign _) or a superscript (sign ^).

    >>> _small("2", RAISED, "^"), _small("i", LOWERED, "_"), _small("θ", LOWERED, "_"), _small("i≠j", LOWERED, "_")
    ('²', 'ᵢ', '_θ', '_(i≠j)')
    """
    if all(letter in characters for letter in text) and not (len(text) > 3 and text.isalpha()):
        return "".join(characters[letter] for letter in text)
    return f"{sign}{text}" if re.fullmatch(r"[^\W_][^\W_\u0300-\u036f]*[\u0300-\u036f]*|\*", text) else f"{sign}({text})"


def _outside(text: str) -> str:
    """Return what is outside of brackets.

    >>> _outside("f(a + b) + 1")
    'f + 1'
    """
    while (shorter := re.sub(r"[(\[][^()\[\]]*[)\]]", "", text)) != text:
        text = shorter
    return text

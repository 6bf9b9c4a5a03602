"""The parts of a formula, each written as MathML and as Unicode text."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape

from simulacra.quizzes.symbols import (
    ACCENTS,
    BEFORE_SIGNS,
    FUNCTIONS,
    LOWERED,
    MINUS,
    PRIME,
    RAISED,
    RELATIONS,
    SPACING_ACCENTS,
)

_ATOM = re.compile(r"\d+(\.\d+)?|\w[\u0300-\u036f]*[²³ₐ-ₜ₀-₉]*")  # a number, or a letter with scripts


class Node(ABC):
    """A part of a formula."""

    @abstractmethod
    def text(self) -> str:
        """Return it as Unicode text."""

    @abstractmethod
    def mathml(self) -> str:
        """Return it as MathML."""


@dataclass(frozen=True)
class Symbol(Node):
    """A letter, number, operator, function or text. tag: the MathML element."""

    value: str
    tag: str

    def text(self) -> str:
        """Return it as Unicode text."""
        return self.value

    def mathml(self) -> str:
        """Return it as MathML."""
        return f"<{self.tag}>{escape(self.value)}</{self.tag}>"


@dataclass(frozen=True)
class Space(Node):
    """A space."""

    value: str

    def text(self) -> str:
        """Return it as Unicode text."""
        return self.value

    def mathml(self) -> str:
        """Return it as MathML."""
        return f'<mspace width="{0.25 * len(self.value)}em"></mspace>' if self.value else ""


@dataclass(frozen=True)
class Row(Node):
    """Parts beside each other."""

    parts: tuple[Node, ...]

    def text(self) -> str:
        """Return it as Unicode text, with spaces beside relations and binary operators."""
        found = ""
        for part, previous in zip(self.parts, (None, *self.parts), strict=False):
            found += _spaced(part, previous, found)
        return re.sub(r" +", " ", found).strip()

    def mathml(self) -> str:
        """Return it as MathML."""
        inner = ""
        for part, following in zip(self.parts, (*self.parts[1:], None), strict=True):
            apart = _is_function(part) and following is not None and not following.text().startswith(("(", "["))
            inner += part.mathml() + ('<mspace width="0.17em"></mspace>' if apart else "")
        return f"<mrow>{inner}</mrow>"


def _spaced(part: Node, previous: Node | None, before: str) -> str:
    """Return a part of a row as Unicode text, with the spaces that it needs after the part and the text before it."""
    written = part.text()
    operator = isinstance(part, Symbol) and part.tag == "mo"
    if operator and written in RELATIONS:
        is_sign = written in ("+", MINUS) and (not before.strip() or before.rstrip()[-1] in BEFORE_SIGNS)
        return written if is_sign else f" {written} "
    if operator and written == ",":
        return ", "
    after_function = _is_function(previous) and not written.startswith(("(", "["))
    return f" {written}" if after_function or (_is_function(part) and before[-1:].isalnum()) else written


def _is_function(part: Node | None) -> bool:
    inner = part.base if isinstance(part, Script) else part
    return isinstance(inner, Symbol) and inner.value in FUNCTIONS


@dataclass(frozen=True)
class Script(Node):
    """A base with a subscript, a superscript, or both."""

    base: Node
    lower: Node | None
    upper: Node | None

    def text(self) -> str:
        """Return it as Unicode text: in raised and lowered characters where all of them exist."""
        found = self.base.text()
        if self.lower:
            found += _small(self.lower.text(), LOWERED, "_")
        if self.upper:
            found += PRIME if self.upper.text() == PRIME else _small(self.upper.text(), RAISED, "^")
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

    def text(self) -> str:
        """Return it as Unicode text."""
        below = self.below.text()
        return f"{_bracketed(self.above.text())}/{below if _ATOM.fullmatch(below) else f'({below})'}"

    def mathml(self) -> str:
        """Return it as MathML."""
        return f"<mfrac>{self.above.mathml()}{self.below.mathml()}</mfrac>"


@dataclass(frozen=True)
class Root(Node):
    """A square root."""

    inner: Node

    def text(self) -> str:
        """Return it as Unicode text."""
        return f"√{_bracketed(self.inner.text())}"

    def mathml(self) -> str:
        """Return it as MathML."""
        return f"<msqrt>{self.inner.mathml()}</msqrt>"


@dataclass(frozen=True)
class Accent(Node):
    """A letter with a hat, bar or tilde."""

    name: str
    inner: Node

    def text(self) -> str:
        """Return it as Unicode text."""
        return "".join(character + ACCENTS[self.name] for character in self.inner.text())

    def mathml(self) -> str:
        """Return it as MathML."""
        return f'<mover accent="true">{self.inner.mathml()}<mo>{SPACING_ACCENTS[self.name]}</mo></mover>'


def _small(text: str, alphabet: dict[str, str], sign: str) -> str:
    plain = text.replace(" ", "")
    if all(character in alphabet for character in plain):
        return "".join(alphabet[character] for character in plain)
    return f"{sign}{text}" if text.isalnum() else f"{sign}({text})"


def _bracketed(text: str) -> str:
    return text if re.fullmatch(r"[\w.√\u0300-\u036f²³ᵀ]+", text) or re.fullmatch(r"\([^()]*\)", text) else f"({text})"

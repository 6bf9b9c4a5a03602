"""Reads the LaTeX of a formula into a tree."""

import re
from collections.abc import Sequence

from simulacra.mathematics.nodes import Accent, Fraction, Labelled, Node, Root, Script, Space, Symbol, Table
from simulacra.mathematics.row import Row
from simulacra.mathematics.symbols import (
    ACCENTS,
    ALPHABETS,
    ASTERISK,
    BARS,
    FUNCTIONS,
    IGNORED,
    KINDS,
    MINUS,
    OPERATORS,
    PRIME,
    SPACES,
    SYMBOLS,
    UPRIGHT,
)

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:(?:\.|\{,\})\d+)*|\s+|.", re.DOTALL)
_ENDS = ("}", "&", r"\\", r"\end")
_TAGS = {**dict.fromkeys(SYMBOLS, "mi"), **dict.fromkeys(OPERATORS, "mo"), **dict.fromkeys(FUNCTIONS, "mi")}
_VALUES = {**SYMBOLS, **OPERATORS, **{name: name for name in FUNCTIONS}}


def parse(formula: str) -> Row:
    """Return the tree of a formula. Raises ValueError for what the subset of LaTeX does not have."""
    reader = _Reader(formula, _TOKEN.findall(formula))
    row = reader.row()
    if token := reader.peek():
        raise ValueError(f"'{formula}' has '{token}' without what opens it: write an opening brace or \\begin before it")
    return row


def _symbol(value: str, tag: str) -> Symbol:
    return Symbol(value, tag, KINDS.get(value, "ordinary"))


class _Reader:
    """Reads the tokens of one formula from left to right."""

    def __init__(self, formula: str, tokens: Sequence[str]) -> None:
        self.formula = formula
        self.tokens = [token for token in tokens if not token.startswith("\\") or token[1:] not in IGNORED]
        self.place = 0

    def peek(self) -> str:
        """Return the next token, which is left unread; empty at the end."""
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def row(self) -> Row:
        """Read up to the end of a group, cell or formula, which is left unread."""
        parts: list[Node] = []
        is_open = False  # between two bars |
        while (token := self.peek()) and token not in _ENDS:
            if token.isspace():
                self.place += 1
            elif token in "^_":
                parts.append(self._script(parts.pop() if parts else Row(())))
            elif token == "|":
                self.place += 1
                parts.append(Symbol(token, "mo", "close" if is_open else "open"))
                is_open = not is_open
            else:
                parts.append(self._atom())
        return Row(tuple(parts))

    def _script(self, base: Node) -> Node:
        found: dict[str, Node] = {}
        while self.peek() and self.peek() in "^_":
            sign = self._next()
            found[sign] = self._argument()
        return Script(base, found.get("_"), found.get("^"))

    def _next(self) -> str:
        if self.place >= len(self.tokens):
            raise ValueError(f"'{self.formula}' ends where an argument or a closing brace is expected")
        self.place += 1
        return self.tokens[self.place - 1]

    def _argument(self) -> Node:
        """Read a group or a symbol; of a number without braces, its first digit."""
        while self.peek().isspace():
            self.place += 1
        if self.peek().isdecimal():
            number = self._next()
            if len(number) > 1:
                self.place -= 1
                self.tokens[self.place] = number[1:]
            return Symbol(number[0], "mn")
        return self._atom()

    def _group(self) -> Node:
        row = self.row()
        self._expect("}")
        return row.parts[0] if len(row.parts) == 1 else row

    def _expect(self, end: str) -> None:
        if (token := self._next()) != end:
            raise ValueError(f"'{self.formula}' has '{token}' where '{end}' is expected")

    def _atom(self) -> Node:
        token = self._next()
        if token == "{":
            return self._group()
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return Symbol(token.replace("{,}", ","), "mn")
        if token == "'":
            return Script(Row(()), None, Symbol(PRIME, "mo"))
        return Symbol(token, "mi") if token.isalpha() else _symbol({"-": MINUS, "*": ASTERISK}.get(token, token), "mo")

    def _command(self, name: str) -> Node:
        if name in _VALUES:
            return _symbol(_VALUES[name], _TAGS[name])
        if name in BARS:
            value, kind = BARS[name]
            return Symbol(value, "mo", kind)
        if name in SPACES:
            return Space(SPACES[name])
        return self._structure(name)

    def _structure(self, name: str) -> Node:
        if name in ("frac", "tfrac", "dfrac"):
            return Fraction(self._argument(), self._argument())
        if name == "sqrt":
            return Root(self._argument())
        if name == "underbrace":
            return self._labelled()
        if name == "begin":
            return self._table()
        return Accent(name, self._argument()) if name in ACCENTS else self._styled(name)

    def _styled(self, name: str) -> Node:
        if name in UPRIGHT:
            words = self._words()
            return Symbol(words, "mtext", "word" if len(words) > 1 else "ordinary")
        if name in ALPHABETS:
            letter = self._argument().text()
            if letter in ALPHABETS[name]:
                return _symbol(ALPHABETS[name][letter], "mi")
            raise ValueError(f"'{self.formula}' has \\{name} of '{letter}', which the subset of TeX does not have")
        raise ValueError(f"'{self.formula}' has \\{name}, which the subset of TeX does not have")

    def _labelled(self) -> Node:
        inner = self._argument()
        while self.peek().isspace():
            self.place += 1
        self._expect("_")
        return Labelled(inner, self._argument())

    def _table(self) -> Node:
        name = self._words()
        rows: list[list[Node]] = [[self.row()]]
        while (token := self._next()) != r"\end":
            if token == "}":
                raise ValueError(f"'{self.formula}' has a closing brace where \\end is expected")
            rows += [[]] if token == r"\\" else []
            rows[-1].append(self.row())
        self._words()
        return Table(name, tuple(tuple(row) for row in rows if any(cell.text() for cell in row)))

    def _words(self) -> str:
        """Read a group, or one token, as it is."""
        while (token := self._next()).isspace():
            pass
        if token != "{":
            return token
        start = self.place
        while self._next() != "}":
            pass
        return "".join(self.tokens[start : self.place - 1])

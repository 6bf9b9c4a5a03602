"""Formulas as text: the LaTeX of the documentation in Unicode, on one line.

Subscripts and superscripts are Unicode characters where all of them exist (σⱼ²), otherwise written out (p_θ, ∑_(i≠j)). A fraction
keeps its parentheses: (x − m)/(2σ²). A label below a brace follows what it labels: KL(q ‖ p) «rate».
"""

# ruff: noqa: RUF001

import re
import unicodedata
from collections.abc import Callable, Mapping

_OPEN, _CLOSE = "\ue000", "\ue001"  # around a fraction, until its surroundings decide whether it needs brackets
_LEFT, _RIGHT, _WIDE = "\ue002", "\ue003", "\ue004"  # before bars that open and close, which are no relation; a wide space
_LETTERS = {
    **{name: unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}") for name in ("alpha", "beta", "gamma", "delta", "theta")},
    **{name: unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}") for name in ("mu", "sigma", "phi", "pi", "epsilon", "rho")},
    **{name: unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}") for name in ("eta", "tau", "psi", "omega", "kappa", "xi")},
    **{"lambda": "λ", "varepsilon": "ε", "Sigma": "Σ", "Phi": "Φ", "Delta": "Δ", "Lambda": "Λ", "Theta": "Θ"},
    **{"infty": "∞", "nabla": "∇", "partial": "∂", "exists": "∃", "dots": "…", "ldots": "…", "top": "T", "ell": "ℓ"},
}
_RELATIONS = {
    **{"ge": "≥", "geq": "≥", "le": "≤", "leq": "≤", "approx": "≈", "propto": "∝", "sim": "∼", "ne": "≠", "neq": "≠", "in": "∈"},
    **{
        "mid": "|",
        "to": "→",
        "leftarrow": "←",
        "rightarrow": "→",
        "Rightarrow": "⇒",
        "equiv": "≡",
        "cdot": "·",
        "times": "×",
        "Vert": "‖",
        "|": "‖",
        "pm": "±",
        "ll": "≪",
        "gg": "≫",
    },
}
_LARGE = {"sum": "∑", "prod": "∏", "int": "∫", "bigcup": "⋃"}
_DELIMITERS = {
    "lVert": f"{_LEFT}‖",
    "rVert": "‖",
    "lvert": f"{_LEFT}|",
    "rvert": f"{_RIGHT}|",
    "lfloor": "⌊",
    "rfloor": "⌋",
    "lceil": "⌈",
    "rceil": "⌉",
}
_FUNCTIONS = ("log", "min", "max", "exp", "sup", "arg", "sin", "cos", "tanh")
_ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307", "overline": "\u0305"}
_ALPHABETS = {
    "mathcal": {"L": "ℒ", "N": "𝒩", "U": "𝒰", "H": "ℋ", "J": "𝒥"},
    "mathbb": {"E": "𝔼", "R": "ℝ", "P": "ℙ"},
}
_TEXTS = ("text", "mathrm", "operatorname", "mathbf", "mathsf", "textbf", "mathit")
_SPACES = {",": " ", ";": " ", ":": " ", "!": "", " ": " ", "quad": 2 * _WIDE, "qquad": 4 * _WIDE, "\\": "\n"}
_IGNORED = ("left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "textstyle", "limits")
_SUPERSCRIPTS = dict(
    zip("0123456789+-=()niTabcdefghjklmoprstuvwxyzDKLN", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵀᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴰᴷᴸᴺ", strict=True)
)
_SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_ATOM = re.compile(
    rf"∂?([^\W\d_]|\d+)[\u0300-\u036f]*([{''.join([*_SUPERSCRIPTS.values(), *_SUBSCRIPTS.values()])}]|_\w+)*(\([^()+−]*\))?"
)
_PARTS = {("1", "2"): "½", ("1", "3"): "⅓", ("1", "4"): "¼", ("3", "4"): "¾"}
_TOKEN = re.compile(r"\\([a-zA-Z]+|.)|\s+|(.)", re.DOTALL)


def formula(latex: str) -> str:
    r"""Return a formula as text; rows of an environment are lines.

    >>> formula(r"\tfrac12 \bigl(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\bigr)")
    '½ (μⱼ² + σⱼ² − 1 − log σⱼ²)'
    >>> formula(r"\mathbb E_{q_\phi(z \mid x)} \log \frac{p_\theta(x \mid z)\, p(z)}{q_\phi(z \mid x)}")
    '𝔼_(q_φ(z|x)) log [p_θ(x | z) p(z) / q_φ(z | x)]'
    """
    text = _Reader(latex).sequence("")
    text = re.sub(rf"(^|[(\[=<>≥≤≈∝|+−] ?){_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}(?= *($|[)\].,:;=<>≥≤≈+−]))", r"\1\2", text)
    text = text.replace(_OPEN, "[").replace(_CLOSE, "]").replace(_LEFT, "").replace(_RIGHT, "")
    text = re.sub(rf" *({_WIDE}+) *", r"\1", re.sub(" +", " ", text))
    lines = (re.sub(r"([(\[]) +", r"\1", re.sub(r"(?<=\S) +(?=[.,:;)\]])", "", line)) for line in text.split("\n"))
    return "\n".join(line.replace(_WIDE, " ").strip() for line in lines if line.strip())


class _Reader:
    """The tokens of a formula, read from left to right."""

    def __init__(self, latex: str) -> None:
        tokens = (f"\\{found[1]}" if found[1] else found[2] or " " for found in _TOKEN.finditer(latex))
        self._tokens = [token for token in tokens if token[1:] not in _IGNORED or len(token) == 1]
        self._place = 0

    def sequence(self, end: str, in_script: bool = False) -> str:
        """Return the text up to a closing token, which is read too; to the end of the formula if it is empty."""
        text = ""
        while self._place < len(self._tokens):
            token = self._next()
            if token == end:
                break
            text = text if token == " " else self._append(text, token, in_script)
        return text.strip(" ")

    def _next(self) -> str:
        token = self._tokens[self._place]
        self._place += 1
        return token

    def _peek(self) -> str:
        while self._place < len(self._tokens) and self._tokens[self._place] == " ":
            self._place += 1
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _argument(self, in_script: bool = False) -> str:
        """Return the text of the next group or symbol."""
        self._peek()
        token = self._next()
        return self.sequence("}", in_script) if token == "{" else self._append("", token, in_script).strip()

    def _append(self, text: str, token: str, in_script: bool) -> str:
        """Return a text with the next element."""
        if token in "^_":
            return text.rstrip(" ") + _script(self._argument(True), token)
        if token == "{":
            return text + self.sequence("}", in_script)
        if token == "&":
            return text.rstrip(" ") + "\t"
        if token == "|":
            is_open = text.count(f"{_LEFT}|") > text.count(f"{_RIGHT}|")
            return text + (f"{_RIGHT}|" if is_open else f"{_LEFT}|")
        if not token.startswith("\\"):
            text = _after_script(text) if token.isalnum() else text
            return _spaced(text, {"-": "−"}.get(token, token), in_script)
        return self._command(text, token[1:], in_script)

    def _command(self, text: str, name: str, in_script: bool) -> str:
        if name in _SPACES:
            space = _SPACES[name]
            return text.rstrip(" ") + space if text and not in_script else text
        if name in _RELATIONS:
            return _spaced(text, _RELATIONS[name], in_script)
        if name in _LARGE or name in _FUNCTIONS:
            return _after_operand(text) + _LARGE.get(name, name) + self._scripts() + self._gap(name in _LARGE)
        readers: Mapping[str, Callable[[], str]] = {
            **dict.fromkeys(("frac", "tfrac", "dfrac"), self._fraction),
            "sqrt": lambda: _root(self._argument()),
            "underbrace": self._labelled,
            "begin": self._environment,
            **dict.fromkeys(_TEXTS, self._words),
            **{accent: lambda mark=mark: _accented(self._argument(), mark) for accent, mark in _ACCENTS.items()},  # type: ignore[misc]
            **{kind: lambda kind=kind: self._letter(kind) for kind in _ALPHABETS},  # type: ignore[misc]
        }
        if name in readers:
            return _after_script(text) + readers[name]()
        return _after_script(text) + {**_LETTERS, **_DELIMITERS}.get(name, name)

    def _gap(self, before_brackets: bool = False) -> str:
        """Return the space after an operator."""
        return "" if self._peek() == "" or (self._peek() in ("(", "[") and not before_brackets) else " "

    def _scripts(self) -> str:
        """Return the limits of an operator."""
        text = ""
        while self._peek() in ("^", "_"):
            text = self._append(text, self._next(), in_script=False)
        return text

    def _fraction(self) -> str:
        above, below = self._argument(), self._argument()
        if part := _PARTS.get((above, below)):
            return f"{part} "
        above = f"({above})" if re.search(r" [+−] |^−", _outside(above)) else above
        below = below if _ATOM.fullmatch(below) else f"({below})"
        is_short = " " not in above + below
        return (
            f"{_OPEN}{above}/{below}{_CLOSE}"
            if is_short and len(above) > 2
            else (f"{above}/{below} " if is_short else f"{_OPEN}{above} / {below}{_CLOSE}")
        )

    def _labelled(self) -> str:
        """Return an expression above a brace, and its label."""
        body = self._argument()
        if self._peek() != "_":
            return body
        self._next()
        return f"{body} «{self._argument()}» "

    def _words(self) -> str:
        """Return the argument of a command for upright text, with its spaces."""
        if self._peek() != "{":
            return self._next()
        self._next()
        words = ""
        while (token := self._next()) != "}":
            words += token
        return words + self._scripts() + ("" if self._peek() in ("(", "}", "", ".", ",", "&") else " ")

    def _letter(self, kind: str) -> str:
        letter = self._argument()
        text = _ALPHABETS[kind].get(letter, letter)
        return text + self._scripts() + self._gap() if kind == "mathbb" else text

    def _environment(self) -> str:
        """Return the rows of `aligned` as lines, and those of `cases` on one line."""
        name = self._words().strip()
        rows = self.sequence("\\end").split("\n")
        self._words()
        if name == "cases":
            return "; ".join(" ".join(row.split()) for row in rows)
        cells = [row.strip().split("\t") for row in rows]
        # every second column begins a new equation
        return "\n".join(
            " ".join(part.strip() for part in row[start : start + 2]) for row in cells for start in range(0, len(row), 2)
        )


def _spaced(text: str, symbol: str, in_script: bool) -> str:
    """Append a symbol: with spaces around a relation or an operator of two operands."""
    if symbol in ",:":
        return text.rstrip(" ") + (symbol if in_script else f"{symbol} ")
    if symbol not in "=<>+−≥≤≈∝∼≠∈|→≡·×‖±≪≫←⇒" or in_script:
        return text + symbol
    before = text.rstrip(" ")
    is_sign = symbol in "+−" and (
        not before
        or before[-1] in f"([=≥≤≈∝,;\n\t·{_WIDE}"
        or re.search(r"(∑|∏)([_^]\([^()]*\)|[^\s(])*$|\blog$", before)
        or before.endswith(f"{_LEFT}|")
    )
    return f"{text}{symbol}" if is_sign else f"{before} {symbol} "


def _script(text: str, kind: str) -> str:
    """Return a subscript (kind _) or a superscript (kind ^).

    >>> _script("2", "^"), _script("i", "_"), _script("θ", "_"), _script("i≠j", "_")
    ('²', 'ᵢ', '_θ', '_(i≠j)')
    """
    characters = _SUPERSCRIPTS if kind == "^" else _SUBSCRIPTS
    plain = text.replace("−", "-")
    if all(letter in characters for letter in plain) and not (len(plain) > 3 and plain.isalpha()):
        return "".join(characters[letter] for letter in plain)
    bare = text.strip()
    return f"{kind}{bare}" if re.fullmatch(r"[\w\u0300-\u036f*]+", bare) else f"{kind}({bare})"


def _after_operand(text: str) -> str:
    """Return a text with a space at its end where a letter or a closing bracket precedes an operator."""
    return f"{text} " if text and (text[-1].isalnum() or text[-1] in f")]{_CLOSE}²") else text


def _after_script(text: str) -> str:
    """Return a text with a space at its end where it ends with a script that is written out."""
    return f"{text} " if re.search(r"[_^](\w+[\u0300-\u036f]*|\([^()]*\))$", text) else text


def _outside(text: str) -> str:
    """Return what is outside of brackets.

    >>> _outside("f(a + b) + 1")
    'f + 1'
    """
    while (shorter := re.sub(r"[(\[][^()\[\]]*[)\]]", "", text)) != text:
        text = shorter
    return text


def _root(text: str) -> str:
    return f"√{text}" if len(text) == 1 else f"√({text})"


def _accented(text: str, mark: str) -> str:
    return text + mark if len(text) == 1 else f"⟨{text}⟩"

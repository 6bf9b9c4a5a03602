"""Parts of a formula beside each other, and the spaces between them in text."""

# ruff: noqa: RUF001 - mathematical characters are meant

import re
from dataclasses import dataclass

from simulacra.mathematics.nodes import Fraction, Labelled, Node, Script, Space, Symbol
from simulacra.mathematics.symbols import FUNCTIONS, QUAD

_SIGNS = "+−±"  # signs of numbers after the beginning, an opening bracket, another operator, punctuation
_WRITTEN_SCRIPT = re.compile(r"[_^]([\w*]+[\u0300-\u036f]*|\((?:[^()]|\([^()]*\))*\))$")


@dataclass(frozen=True)
class Row(Node):
    """Parts beside each other."""

    parts: tuple[Node, ...]

    def text(self, script: bool = False) -> str:
        """Return it as Unicode text."""
        found = ""
        for place, part in enumerate(self.parts):
            before, after = _next(self.parts[:place][::-1]), _next(self.parts[place + 1 :])
            found = _appended(found, part, before, after, script)
        return re.sub(r" +", " ", found).strip(" ")

    def mathml(self) -> str:
        """Return it as MathML."""
        inner = ""
        for part, following in zip(self.parts, (*self.parts[1:], None), strict=False):
            apart = _is_named(part) and following is not None and not following.text().startswith(("(", "["))
            inner += part.mathml() + ('<mspace width="0.17em"></mspace>' if apart else "")
        return f"<mrow>{inner}</mrow>"


def _is_named(part: Node) -> bool:
    inner = part.base if isinstance(part, Script) else part
    return isinstance(inner, Symbol) and inner.value in FUNCTIONS


def _next(parts: tuple[Node, ...]) -> Node | None:
    """Return the first part that is not a narrow space; none at the end and at an em space."""
    found = next((part for part in parts if not (isinstance(part, Space) and QUAD not in part.value)), None)
    return None if isinstance(found, Space) else found


def _appended(found: str, part: Node, before: Node | None, after: Node | None, script: bool) -> str:
    """Return a text with the next part, and the spaces that it needs."""
    written = part.text(script)
    if isinstance(part, Space):
        return found if before and before.kind == "open" else found + written
    if part.kind == "relation":
        return found + written if script or _is_sign(written, before) else f"{found.rstrip(' ')} {written} "
    if part.kind in ("close", "punctuation"):
        return found.rstrip(" ") + written + (" " if part.kind == "punctuation" and not script else "")
    if isinstance(part, Fraction) and not _is_alone(written, before, after):
        written = f"[{written}]"
    space_before = " " if _needs_space(found, part, written) else ""
    space_after = " " if after and _is_followed_by_space(part, after) else ""
    return found + space_before + written + space_after


def _is_sign(written: str, before: Node | None) -> bool:
    return written in _SIGNS and (before is None or before.kind in ("open", "relation", "punctuation", "large", "function"))


def _is_alone(fraction: str, before: Node | None, after: Node | None) -> bool:
    """Return whether a fraction needs no brackets: it is short, or no part beside it binds as strongly."""
    if " " not in fraction and len(fraction.partition("/")[0]) <= 2:
        return True
    is_edge = [
        part is None or (part.kind in ("relation", side, "punctuation") and part.text() not in ("·", "×"))
        for part, side in ((before, "open"), (after, "close"))
    ]
    return all(is_edge)


def _needs_space(found: str, part: Node, written: str) -> bool:
    """Return whether a part needs a space after a text: operators after operands, and letters after a written script."""
    if part.kind in ("function", "large") or isinstance(part, Fraction) or (part.kind == "word" and written[:1].isalnum()):
        return found[-1:].isalnum() or found.endswith((")", "]", "}"))
    return part.kind != "open" and written[:1] not in ("/", "!", "′") and bool(_WRITTEN_SCRIPT.search(found))


def _is_followed_by_space(part: Node, after: Node) -> bool:
    """Return whether a space separates a part from the following one."""
    if part.kind == "large" or isinstance(part, Labelled):
        return True
    following = after.text()[:1]
    if isinstance(part, Fraction):
        return following != "/"
    return part.kind in ("function", "word") and following not in ("(", "[", "{", "/", "′")

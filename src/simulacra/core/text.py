"""Texts for people and from them: file names that are not UTF-8, paths in commands to copy, and lists with commas."""

import shlex
from pathlib import Path


def printable(text: str) -> str:
    r"""Return a text that can be encoded as UTF-8: the bytes of file names that are not UTF-8 are escaped.

    >>> printable("caf\udce9.png"), printable("café.png")
    ('caf\\xe9.png', 'café.png')
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def quoted(path: Path | str) -> str:
    r"""Return a path as a shell takes it: quoted where it has spaces or other special characters, or is not UTF-8.

    >>> print(quoted("runs/first"), quoted("my runs/first"), quoted("caf\udce9"))
    runs/first 'my runs/first' $'caf\xe9'
    """
    text = str(path)
    if printable(text) == text:
        return shlex.quote(text)
    parts = (printable(part.replace("\\", "\\\\").replace("'", "\\'")) for part in text)
    return f"$'{''.join(parts)}'"


def comma_separated(text: str) -> tuple[str, ...]:
    """Return the parts of a text that commas separate, without those that are empty.

    >>> comma_separated("cat, dog,"), comma_separated("")
    (('cat', 'dog'), ())
    """
    return tuple(name for part in text.split(",") if (name := part.strip()))

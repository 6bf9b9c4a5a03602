"""Reports of the files of one's own that a command does not use: how many, which and why."""

from collections.abc import Sequence
from typing import Any

from simulacra.data.source import Skip

_NAMED = 3  # files that are named for each reason, at most


def skipped_facts(skipped: Sequence[Skip]) -> list[dict[str, Any]]:
    """Return every skipped file with the reason, ready for JSON."""
    return [{"file": item.name, "reason": item.reason} for item in skipped]


def skipped_text(skipped: Sequence[Skip], unused: int = 0) -> str:
    r"""Return lines with the number of skipped files, their reasons and the first names, each after a newline; empty for none.

    unused: number of files that are not read because enough images were found.

    >>> print("2 images" + skipped_text([Skip("a.txt", "not an image (.txt)"), Skip("b.png", "empty file")], 3))
    2 images
    skipped 2 files: 1 not an image (.txt) (a.txt); 1 empty file (b.png)
    3 more files are not read: a larger --count uses them
    """
    lines, reasons = [""], dict[str, list[str]]()
    for item in skipped:
        reasons.setdefault(item.reason, []).append(item.name)
    parts = [f"{len(names)} {reason} ({_named(names)})" for reason, names in reasons.items()]
    count = f"{len(skipped):,} {'file' if len(skipped) == 1 else 'files'}"
    lines += [f"skipped {count}: {'; '.join(parts)}"] if skipped else []
    more = f"{unused:,} more {'file is' if unused == 1 else 'files are'} not read"
    lines += [f"{more}: a larger --count uses them"] if unused else []
    return "\n".join(lines)


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")

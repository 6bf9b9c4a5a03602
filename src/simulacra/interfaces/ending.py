"""The last lines of every command: what it produced, and the next commands."""

from collections.abc import Sequence
from pathlib import Path

from simulacra.core.text import quoted
from simulacra.interfaces.display.console import program


def ending(made: Sequence[str], *following: str, run: Path | str = "") -> str:
    """Return the last lines of a command.

    made: lines on what it produced, three at most where it lists nothing; following: the next commands, without the name of the
    program, in which {run} is the quoted path of the run, with the file of its family where it needs one.

    >>> print(ending(["64 images in samples.png"], "report {run}", run="my runs/first"))
    64 images in samples.png
    next:  simulacra report 'my runs/first'
    """
    place = _words_of(Path(run)) if run else ""
    commands = "    ".join(f"{program()} {command.replace('{run}', place)}" for command in following)
    return "\n".join([*made, *([f"next:  {commands}"] if commands else [])])


def _words_of(run: Path) -> str:
    from simulacra.runs.own_families import family_file_of

    return " ".join(map(quoted, (str(run), *family_file_of(run))))

"""Home folders in paths that people give."""

from pathlib import Path


def expand_home(path: Path | str) -> Path:
    """Return a path with the home folder in the place of `~` or `~user` at its start; unchanged where there is no such user.

    A shell replaces `~` only at the start of a word, so that `--out=~/samples.png` arrives as it is; a file's own name may begin
    with `~`, too.

    >>> expand_home("~/photos") == Path.home() / "photos", str(expand_home("~backup.zip"))
    (True, '~backup.zip')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)

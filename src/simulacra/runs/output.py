"""Where applications write: the path that is given, or a name in the run folder that states the settings."""

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from simulacra.core.config import Config, Option, options
from simulacra.core.home import expand_home
from simulacra.runs.run import Run

IN_IMAGES = "in RUN/images, with the settings that are given in its name"
"""Where an output is written by default, for help texts."""

_LONGEST = 120  # characters of a name
_DIGITS = 6  # of the digest of a text that cannot be part of a name


def output_path(run: Run, settings: Config, name: str, suffix: str = "", stated: Collection[str] = ()) -> Path:
    """Return the path of an application's output: the setting `out`, or a path in the run's `images` where it is empty.

    The default name is followed by every setting that differs from its default, so that no output replaces one of other settings:
    `samples.png`, `samples_count-100_seed-7.png`. stated: settings that `name` states already.
    """
    if out := vars(settings)["out"]:
        return expand_home(out)
    changed = (item for item in options(type(settings)) if getattr(settings, item.name) != item.default)
    words = "_".join([name, *(_words(item, settings) for item in changed if item.name not in stated)])
    if len(words) > _LONGEST:
        words = f"{name}_{_digest(words)}"
    return run.images / f"{words}{suffix}"


def _words(item: Option, settings: Config) -> str:
    """Return a setting as part of a file name; a text with other characters is followed by its digest."""
    text = str(getattr(settings, item.name))
    if item.kind == "bool":
        return item.flag
    last = text.rstrip("/").rsplit("/", 1)[-1]
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-=.") else "-" for letter in last)
    return f"{item.flag}-{plain if plain == text else f'{plain[:40]}-{_digest(text)}'}"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]

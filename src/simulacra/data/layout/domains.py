"""The two domains of a family that translates: where a folder has them, and what they are called."""

import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from simulacra.core.errors import DataError
from simulacra.core.progress import Progress
from simulacra.core.text import printable
from simulacra.data.formats.archives import is_run
from simulacra.data.layout.folders import not_an_image, split_folders, split_word
from simulacra.data.settings import DomainsConfig
from simulacra.data.source import Side

_EXPECTED = "expected trainA and trainB, with or without testA and testB, or one folder for each of two domains"
_ARCHIVE = re.compile(r"\.(zip|npy|npz|tgz|tbz2|txz|tar(\.(gz|bz2|xz))?)$", re.IGNORECASE)
_Places = dict[str, dict[Side, Path]]  # by name of the domain and by split


def domains_in(folder: Path, config: DomainsConfig, progress: Progress) -> DomainsConfig:
    """Return settings with the two domains of a folder as `a` and `b`, in the order of their names, and their test images.

    Raises DataError for a folder with another layout.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the folder that has both domains, or --data.a and --data.b")
    inner = _folders(folder)
    while len(inner) == 1 and not split_word(inner[0].name):
        folder, inner = inner[0], _folders(inner[0])
    found = _by_splits(inner) or {path.name: {"train": path} for path in inner}
    if len(found) != 2 or not all("train" in splits for splits in found.values()):
        held = ", ".join(path.name for path in inner) or "no folders"
        raise DataError(f"{folder} has {held}, {_EXPECTED}: rearrange them, or give --data.a and --data.b")
    for splits in found.values():
        if "validation" in splits:
            progress.message(f"{splits['validation']} is not used: validation images are held out from {splits['train']}")
    first, second = (found[name] for name in sorted(found, key=str.lower))
    tests = (str(splits.get("test", "")) for splits in (first, second))
    places = dict(zip(("a", "b", "a_test_path", "b_test_path"), (str(first["train"]), str(second["train"]), *tests), strict=True))
    return DomainsConfig.of({**config.table(), "data": "", **places}, "the settings")


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, but hidden ones, run folders, and those with run folders in them."""
    hidden = ((path, "hidden" in not_an_image(f"{path.name}/image.png", bytes)) for path in folder.iterdir() if path.is_dir())
    return sorted(path for path, left_out in hidden if not left_out and not any(map(is_run, (path, *path.iterdir()))))


def _by_splits(folders: list[Path]) -> _Places:
    """Return the domains of folders such as trainA and testB, or of those inside train and test; empty without splits."""
    known = split_folders([path.name for path in folders])
    found: _Places = {}
    for path in folders:
        side, domain = known.get(path.name, ("train", ""))
        places = [(domain, path)] if domain else [(inner.name, inner) for inner in _folders(path)] if path.name in known else []
        for name, place in places:
            found.setdefault(name, {})[side] = place
    return found


def domain_names(places: Mapping[str, str]) -> dict[str, str]:
    """Return the names of domains by key: of the folders at these paths, without words such as `train`; empty if these are equal.

    Characters other than letters, digits and `_.-` become `-`.

    >>> domain_names({"a": "photos/summer", "b": "photos/winter.zip"})
    {'a': 'summer', 'b': 'winter'}
    >>> domain_names({"a": "summer/train", "b": "winter/train"}), domain_names({"a": "h/trainA", "b": "h/trainB"})
    ({'a': 'summer', 'b': 'winter'}, {})
    """
    candidates = zip_longest(*(_names(Path(place)) for place in places.values()), fillvalue="")
    chosen = next((names for names in candidates if all(names) and len({name.lower() for name in names}) == len(names)), ())
    named = dict(zip(places, chosen, strict=False))
    return {} if any(name.lower() in places for name in chosen) else named


def _names(path: Path) -> list[str]:
    """Return the names that a path gives its images, the nearest first."""
    parts = [_ARCHIVE.sub("", path.name), *(item.name for item in path.parents)]
    names = (found[1] if (found := split_word(part)) else part for part in parts)
    return [re.sub(r"[^\w.-]+", "-", printable(name)) for name in names if name]

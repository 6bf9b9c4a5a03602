"""Interpretation of file names: which files are images, their class, and whether they are for training or testing."""

from collections.abc import Mapping, Sequence
from posixpath import commonprefix, splitext

from simulacra.data.formats.pixels import SUFFIXES
from simulacra.data.source import Side

_SIDES: Mapping[str, Side] = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_HELD_OUT = ("val", "valid", "validation")
_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")

Parts = tuple[str, ...]


def parts(name: str) -> Parts:
    """Return the folders and the file of a name with forward slashes.

    >>> parts("./cats//1.png")
    ('cats', '1.png')
    """
    return tuple(part for part in name.split("/") if part not in ("", "."))


def not_an_image(name: str) -> str:
    """Return the reason why a file is not an image according to its name; empty if it is one.

    >>> not_an_image("cats/IMG_1.JPG"), not_an_image("cats/notes.txt"), not_an_image("__MACOSX/cats/._IMG_1.jpg")
    ('', 'not an image (.txt)', 'hidden or system file')
    """
    path = parts(name)
    if any(part.startswith(".") or part.lower() in _SYSTEM for part in path):
        return "hidden or system file"
    suffix = splitext(path[-1])[1].lower() if path else ""
    return "" if suffix in SUFFIXES else f"not an image ({suffix or 'no suffix'})"


def sides(names: Sequence[str]) -> list[tuple[Side | None, str]]:
    """Return the side of each name and the rest of its path; the side is None for files outside the folders train and test.

    A folder that contains all others is stripped. Unless there are folders `train` and `test`, all files are training data.

    >>> sides(["set/train/cat/1.png", "set/test/cat/2.png"])
    [('train', 'cat/1.png'), ('test', 'cat/2.png')]
    """
    paths = [parts(name) for name in names]
    depth = len(_shared(paths))
    tops = {path[depth].lower() for path in paths if len(path) > depth + 1}
    known = {top: _SIDES[top] for top in tops if top in _SIDES}
    if "test" not in known.values():
        known.update(dict.fromkeys(tops.intersection(_HELD_OUT), "test"))
    if set(known.values()) != {"train", "test"}:
        return [("train", name) for name in names]
    found: list[tuple[Side | None, str]] = []
    for path in (path[depth:] for path in paths):
        side = known.get(path[0].lower()) if len(path) > 1 else None
        found.append((side, "/".join(path[1:] if side else path)))
    return found


def strip_wrappers(groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the names of each group without the leading folders that all names of a group share; the same number in each group.

    >>> strip_wrappers([["train/cat/1.png", "train/dog/2.png"], ["test/cat/3.png"]])
    [['cat/1.png', 'dog/2.png'], ['cat/3.png']]
    """
    split = [[parts(name) for name in group] for group in groups]
    depth = min((len(_shared(paths)) for paths in split if paths), default=0)
    return [["/".join(path[depth:]) for path in paths] for paths in split]


def classes_of(names: Sequence[str]) -> list[str]:
    """Return the class of each image, the name of the folder that contains it; empty for an image in no folder.

    >>> classes_of(["cats/1.png", "dogs/old/2.png", "3.png"])
    ['cats', 'old', '']
    """
    return [["", *parts(name)][-2] for name in names]


def ordered(classes: set[str]) -> tuple[str, ...]:
    """Return class names in order: by number if all are whole numbers, else by name.

    >>> ordered({"10", "9"}), ordered({"dog", "cat"})
    (('9', '10'), ('cat', 'dog'))
    """
    return tuple(sorted(classes, key=int if all(name.isdecimal() for name in classes) else None))


def _shared(paths: Sequence[Parts]) -> Parts:
    """Return the folders with which all paths begin."""
    return tuple(commonprefix([path[:-1] for path in paths]))

"""Interpretation of file names: which files are images, their class, and whether they are for training or testing."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from posixpath import commonprefix

from simulacra.data.formats.kinds import reason_by_head, reason_by_name
from simulacra.data.source import Side

_SPLITS: Mapping[str, Side] = {
    **dict.fromkeys(("train", "training", "trainset", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "testset", "tst"), "test"),
}
_GENERAL = ("set", "sets", "data", "dataset", "image", "images", "img", "imgs", "split", "folder")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")

Parts = tuple[str, ...]


def parts(name: str) -> Parts:
    """Return the folders and the file of a name with forward slashes.

    >>> parts("./cats//1.png")
    ('cats', '1.png')
    """
    return tuple(part for part in name.split("/") if part not in ("", "."))


def not_an_image(name: str, head: Callable[[], bytes]) -> str:
    """Return the reason why a file is not an image, empty if it is one, by its name or else by its first bytes.

    >>> not_an_image("cats/IMG_1.JPG", bytes), not_an_image("cats/notes.txt", bytes), not_an_image("__MACOSX/cats/._1.jpg", bytes)
    ('', 'not an image (.txt)', 'hidden or system file')
    """
    path = parts(name)
    if any(part.startswith(".") or part.lower() in _SYSTEM for part in path):
        return "hidden or system file"
    file = path[-1] if path else ""
    reason = reason_by_name(file)
    return reason_by_head(file, head()) if reason is None else reason


def sides(names: Sequence[str]) -> list[tuple[Side | None, str]]:
    """Return the split of each name and the rest of its path; None for files outside the folders of the splits.

    A folder that contains all others is stripped. Unless the folders in it, or all those one level deeper, denote training and
    other images, all files are training data. Where splits exist several times, what distinguishes their names is the class.

    >>> sides(["set/train/cat/1.png", "set/test/cat/2.png"])
    [('train', 'cat/1.png'), ('test', 'cat/2.png')]
    >>> sides(["cat/train/1.png", "cat/val/2.png", "dog/train/3.png"])[1:]
    [('validation', 'cat/2.png'), ('train', 'dog/3.png')]
    >>> sides(["trainA/1.png", "trainB/2.png", "testA/3.png", "testB/4.png"])[2:]
    [('test', 'A/3.png'), ('test', 'B/4.png')]
    """
    paths = [parts(name) for name in names]
    depth = len(_shared(paths))
    known = split_folders({path[depth] for path in paths if len(path) > depth + 1})
    if known:
        return [_in_split(path[depth:], known) for path in paths]
    inner = {path[depth + 1] for path in paths if len(path) > depth + 2}
    known = split_folders(inner)
    if known.keys() == inner and all(len(path) > depth + 2 for path in paths):
        found = [_in_split(path[depth + 1 :], known) for path in paths]
        return [(side, f"{path[depth]}/{rest}") for (side, rest), path in zip(found, paths, strict=True)]
    return [("train", name) for name in names]


def split_folders(folders: Collection[str]) -> dict[str, tuple[Side, str]]:
    """Return the split that each folder denotes, and its class; without those that denote none.

    A name denotes a split by one word such as `train`, `val` or `test`. Its other words, apart from those such as `set` and
    `images`, are the same in the names of other splits. If there are several such groups of splits, these words are the class.
    Empty unless a folder denotes training images and another one validation or test images.

    >>> split_folders(["seg_train", "seg_test", "seg_pred"])
    {'seg_train': ('train', ''), 'seg_test': ('test', '')}
    >>> split_folders(["trainA", "trainB", "testA", "testB"])["testB"], split_folders(["train", "bus"])
    (('test', 'B'), {})
    """
    read = {folder: found for folder in folders if (found := split_word(folder))}
    groups: dict[str, set[Side]] = {}
    for side, rest in read.values():
        groups.setdefault(rest.lower(), set()).add(side)
    whole = [rest for rest, held in groups.items() if "train" in held and len(held) > 1]
    known = {folder: found for folder, found in read.items() if found[1].lower() in whole}
    return known if len(whole) > 1 else {folder: (side, "") for folder, (side, _) in known.items()}


def split_word(folder: str) -> tuple[Side, str] | None:
    """Return the split that a folder's name denotes, and its other words; None unless exactly one word denotes a split.

    >>> split_word("trainA"), split_word("seg_test"), split_word("bus")
    (('train', 'A'), ('test', 'seg'), None)
    """
    words = _WORD.findall(folder)
    held = [_SPLITS[word.lower()] for word in words if word.lower() in _SPLITS]
    rest = [word for word in words if word.lower() not in (*_SPLITS, *_GENERAL)]
    return (held[0], " ".join(rest)) if len(held) == 1 else None


def suspected_splits(names: Sequence[str]) -> list[str]:
    """Return the folders whose names denote splits although these are not used, for names after `sides`.

    >>> suspected_splits(["images/1.png", "test/2.png"]), suspected_splits(["cats/1.png", "dogs/2.png"])
    (['test'], [])
    """
    return sorted({folder for name in names for folder in parts(name)[:-1][:2] if split_word(folder)})


def strip_wrappers(groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the names of each group without the leading folders that all names of a group share; the same number in each group.

    Groups without folders do not count.

    >>> strip_wrappers([["train/cat/1.png", "train/dog/2.png"], ["test/cat/3.png"]])
    [['cat/1.png', 'dog/2.png'], ['cat/3.png']]
    >>> strip_wrappers([["train/cat/1.png", "train/dog/2.png"], ["3.png"]])
    [['cat/1.png', 'dog/2.png'], ['3.png']]
    """
    split = [[parts(name) for name in group] for group in groups]
    depth = min((len(_shared(paths)) for paths in split if any(len(path) > 1 for path in paths)), default=0)
    return [["/".join(path[min(depth, len(path) - 1) :]) for path in paths] for paths in split]


def classes_of(names: Sequence[str], level: int = 1) -> list[str]:
    """Return the class of each image, the name of its folder at a level, 1 for the outermost; empty for an image outside of any.

    >>> classes_of(["cats/1.png", "dogs/old/2.png", "3.png"]), classes_of(["a/cats/1.png", "b/dogs/2.png"], 2)
    (['cats', 'dogs', ''], ['cats', 'dogs'])
    """
    return [path[level - 1] if len(path := parts(name)) > level else "" for name in names]


def ordered(classes: set[str]) -> tuple[str, ...]:
    """Return class names in order: by number if all are whole numbers, else by name.

    >>> ordered({"10", "9"}), ordered({"dog", "cat"})
    (('9', '10'), ('cat', 'dog'))
    """
    return tuple(sorted(classes, key=int if all(name.isdecimal() for name in classes) else None))


def _shared(paths: Sequence[Parts]) -> Parts:
    """Return the folders with which all paths begin."""
    return tuple(commonprefix([path[:-1] for path in paths]))


def _in_split(path: Parts, known: Mapping[str, tuple[Side, str]]) -> tuple[Side | None, str]:
    """Return the split that the first folder of a path denotes, None for none, and the rest; a class is its first folder."""
    if len(path) > 1 and path[0] in known:
        side, label = known[path[0]]
        return side, "/".join(((label,) if label else ()) + path[1:])
    return None, "/".join(path)

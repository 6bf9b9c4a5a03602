"""Images of one's own: a directory or an archive, with sub-folders as classes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import Progress
from simulacra.data.folder_layout import classes_of, not_an_image, sides, strip_wrappers
from simulacra.data.formats.archives import SUFFIXES as ARCHIVES
from simulacra.data.formats.archives import opened
from simulacra.data.formats.containers import Container, walk
from simulacra.data.formats.pixels import SUFFIXES, Refused, decode
from simulacra.data.settings import DataConfig
from simulacra.data.source import Item, Material, Reading, Side, Skip, file_key


class Folder:
    """A directory or archive of images, or a pair of them for training and testing."""

    name = "folder"
    summary = "your own images: a folder, tar or zip archive (--path); sub-folders are classes"
    size = ""

    def place(self) -> str | None:
        """Return that the images are the user's."""
        return "your own"

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the images at config.path and config.test_path; raises DataError where there is nothing to read."""
        path = _existing(config.path)
        roots = (_pair(path) if path.is_dir() else ()) or (path,)
        if config.test_path:
            if len(roots) > 1:
                raise UsageError(f"{path} holds its own test images: leave --test-path out, or give {roots[0]} as --path")
            roots = (*roots, _existing(config.test_path))
        return Material(stem(path), "|".join(["folder", *map(_key, roots)]), lambda: _reading(roots, config.size))


SOURCE = Folder()


def stem(path: Path) -> str:
    """Return the name of a folder or archive without the suffixes of archives.

    >>> stem(Path("data/Cats.tar.gz")), stem(Path("data/v1.5"))
    ('Cats', 'v1.5')
    """
    name = path.resolve().name
    for suffix in sorted((*ARCHIVES, ".npy", ".npz"), key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _existing(text: str) -> Path:
    path = Path(text).expanduser()
    try:
        path.stat()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {getattr(error, 'strerror', error)}: give a folder, tar or zip archive of images"
        ) from error
    if path.suffix.lower() in SUFFIXES and path.is_file():
        raise DataError(f"{path} is a single image: give the folder that holds it")
    return path


def _pair(folder: Path) -> tuple[Path, ...]:
    """Return the archives train.* and test.* of a folder that holds the first of them."""
    found = [
        next((folder / f"{side}{suffix}" for suffix in ARCHIVES if (folder / f"{side}{suffix}").is_file()), None)
        for side in ("train", "test")
    ]
    return tuple(path for path in found if path) if found[0] else ()


def _key(path: Path) -> str:
    """Return what identifies a root without reading images: for a folder the names, sizes and times of all its files."""
    if not path.is_dir():
        return file_key(path)
    listing = sha256(str(path.resolve()).encode())
    for file in walk(path):
        listing.update(f"\n{file.name}|{file.refusal}|{file.size}|{file.changed}".encode())
    return listing.hexdigest()


@dataclass(frozen=True)
class _File:
    """One image to read: where it lies, and what its name says; an empty label is that of an image in no class folder."""

    container: Container
    stored: str
    side: Side
    name: str
    label: str = ""


def _reading(roots: tuple[Path, ...], size: int) -> AbstractContextManager[Reading]:
    @contextmanager
    def reading() -> Iterator[Reading]:
        with ExitStack() as stack:
            containers = [stack.enter_context(opened(root)) for root in roots]
            files, skipped = _plan(containers)
            yield Reading(len(files) + len(skipped), _read(files, skipped, size), _notes(files))

    return reading()


def _plan(containers: list[Container]) -> tuple[list[_File], list[Skip]]:
    """Return the images to read and the files to skip, judged by names alone."""
    files: list[_File] = []
    skipped: list[Skip] = []
    for at, container in enumerate(containers):
        entries = [(entry, entry.refusal or not_an_image(_slashes(entry.name))) for entry in container.entries()]
        skipped += [Skip(entry.name, reason) for entry, reason in entries if reason]
        stored = [entry.name for entry, reason in entries if not reason]
        names = [_slashes(name) for name in stored]
        forced: list[tuple[Side | None, str]] = [("train" if at == 0 else "test", name) for name in names]
        for place, (side, name) in zip(stored, forced if len(containers) > 1 else sides(names), strict=True):
            if side:
                files.append(_File(container, place, side, name))
            else:
                skipped.append(Skip(place, "outside the folders train and test"))
    return _labelled(files), skipped


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def _labelled(files: list[_File]) -> list[_File]:
    """Strip the folders that wrap each side, and name each image's class."""
    groups = [[file for file in files if file.side == side] for side in ("train", "test")]
    stripped = strip_wrappers([[file.name for file in group] for group in groups])
    return [
        replace(file, name=name, label=label)
        for group, names in zip(groups, stripped, strict=True)
        for file, name, label in zip(group, names, classes_of(names), strict=True)
    ]


def _notes(files: list[_File]) -> tuple[str, ...]:
    loose = [file for file in files if not file.label]
    if not loose or len(loose) == len(files):
        return ()
    count = f"{len(loose)} of {len(files)} images lie outside class folders (such as {loose[0].stored})"
    return (f"{count}: all images go without classes; move them into class folders if you want classes",)


def _read(files: list[_File], skipped: list[Skip], size: int) -> Iterator[Item | Skip]:
    yield from skipped
    labels = {file.label for file in files}
    labelled = "" not in labels and len(labels) > 1
    for file in files:
        try:
            content = file.container.read(file.stored)
            label = file.label if labelled else None
            yield Item(file.name, file.side, label, decode(content, size), sha256(content).hexdigest())
        except Refused as refusal:
            yield Skip(file.stored, str(refusal))


def read_picture(path: Path) -> Item | Skip:
    """Return a single picture file as an item, or why it is none."""
    try:
        content = path.read_bytes()
        return Item(path.name, "train", None, decode(content), sha256(content).hexdigest())
    except OSError as error:
        return Skip(path.name, f"cannot be read: {error.strerror}")
    except Refused as refusal:
        return Skip(path.name, str(refusal))

"""Images in a directory or archive; labels are the names of sub-folders, or columns of a metadata file."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import Progress
from simulacra.data.folder_layout import classes_of, not_an_image, sides, strip_wrappers
from simulacra.data.formats.archives import SUFFIXES as ARCHIVES
from simulacra.data.formats.archives import Container, Entry, Folder, opened, walk
from simulacra.data.formats.metadata import (
    FILES,
    Annotations,
    Key,
    attributes_of,
    image_key,
    is_metadata,
    many_values,
    parse,
    unused,
)
from simulacra.data.formats.pixels import SUFFIXES, Refused, decode
from simulacra.data.settings import DataConfig
from simulacra.data.source import Finding, Item, LocalSource, Material, Reading, Side, Skip, file_key


def _find(config: DataConfig, progress: Progress) -> Material:
    """Return the images at config.path and config.test_path; raises DataError if there is nothing to read."""
    path = _existing(config.path)
    roots = (_pair(path) if path.is_dir() else ()) or (path,)
    if config.test_path:
        if len(roots) > 1:
            raise UsageError(f"{path} contains its own test images: leave --test-path out, or give {roots[0]} as --path")
        roots = (*roots, _existing(config.test_path))
    labels = [f"labels={','.join(config.label_columns)}"] if config.label_columns else []
    key = "|".join(["folder", *map(_key, roots), *labels])
    return Material(stem(path), key, lambda: _reading(roots, config.size, config.label_columns))


_SUMMARY = "your own images: a folder, tar or zip archive (--path); classes are sub-folders or --label-column"
SOURCE = LocalSource("folder", _SUMMARY, "", "your own", _find)


def stem(path: Path) -> str:
    """Return the name of a folder or archive without the suffixes of archives.

    >>> stem(Path("data/Cats.tar.gz")), stem(Path("data/v1.5"))
    ('Cats', 'v1.5')
    """
    name = path.resolve().name
    suffixes = sorted((*ARCHIVES, ".npy", ".npz"), key=len, reverse=True)
    return next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name)


def _existing(text: str) -> Path:
    path = Path(text).expanduser()
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise DataError(f"{path} cannot be read: {reason}: give a folder, tar or zip archive of images") from error
    if path.suffix.lower() in SUFFIXES and path.is_file():
        raise DataError(f"{path} is a single image: give the folder that contains it")
    return path


def _pair(folder: Path) -> tuple[Path, ...]:
    """Return the archives train.* and test.* of a folder; empty if there is no train.*."""
    named = [[path for suffix in ARCHIVES if (path := folder / f"{side}{suffix}").is_file()] for side in ("train", "test")]
    return tuple(paths[0] for paths in named if paths) if named[0] else ()


def _key(path: Path) -> str:
    """Return a key of a root, without reading images: for a folder the names, sizes and modification times of its files."""
    if not path.is_dir():
        return file_key(path)
    listing = sha256(str(path.resolve()).encode())
    for file in walk(path):
        listing.update(f"\n{file.name}|{file.refusal}|{file.size}|{file.changed}".encode())
    return listing.hexdigest()


@dataclass(frozen=True)
class _File:
    """One image to read: its container and path inside, its side, and its name without the folders that wrap all images."""

    container: Container
    stored: str
    key: Key
    side: Side
    name: str
    labels: tuple[str, ...] = ()
    caption: str | None = None


@dataclass
class _Plan:
    """Files of some containers, sorted by their names: images to read, files to skip, and metadata files."""

    images: list[_File] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    metadata: list[tuple[Container, Key, Entry]] = field(default_factory=list)

    @property
    def keys(self) -> list[Key]:
        return [file.key for file in self.images]


@contextmanager
def _reading(roots: tuple[Path, ...], size: int, columns: tuple[str, ...]) -> Iterator[Reading]:
    with ExitStack() as stack:
        plan = _plan([stack.enter_context(opened(root)) for root in roots])
        images, attributes, notes = _from_columns(plan, roots, columns) if columns else _from_folders(plan, roots)
        items = chain(plan.skipped, (_item(file, size) for file in images))
        yield Reading(len(images) + len(plan.skipped), items, tuple(notes), attributes)


def _plan(containers: list[Container]) -> _Plan:
    """Sort the files of containers; training images come first, with names without the folders that wrap all of a side."""
    plan = _Plan()
    for at, container in enumerate(containers):
        stored = []
        for entry in container.entries():
            if is_metadata(entry.name):
                plan.metadata.append((container, (at, _slashes(entry.name)), entry))
            elif reason := entry.refusal or not_an_image(_slashes(entry.name)):
                plan.skipped.append(Skip(entry.name, reason))
            else:
                stored.append(entry.name)
        names = [_slashes(name) for name in stored]
        forced: list[tuple[Side | None, str]] = [("train" if at == 0 else "test", name) for name in names]
        for path, (side, name) in zip(stored, forced if len(containers) > 1 else sides(names), strict=True):
            if side:
                plan.images.append(_File(container, path, image_key(at, "", path), side, name))
            else:
                plan.skipped.append(Skip(path, "outside the folders train and test"))
    groups = [[file for file in plan.images if file.side == side] for side in ("train", "test")]
    stripped = strip_wrappers([[file.name for file in group] for group in groups])
    plan.images = [replace(file, name=name) for file, name in zip(chain(*groups), chain(*stripped), strict=True)]
    return plan


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


_Labelled = tuple[list[_File], tuple[Attribute, ...], list[Finding]]


def _from_columns(plan: _Plan, roots: tuple[Path, ...], columns: tuple[str, ...]) -> _Labelled:
    """Return the images with labels from columns of the metadata files."""
    title = " and ".join(map(str, roots))
    if not plan.metadata:
        advice = "add one beside the images, or leave it out"
        raise UsageError(f"--label-column needs {' or '.join(FILES)}, and {title} holds neither: {advice}")
    held = _annotations(plan, roots)
    labels = held.labels(plan.keys, columns)
    attributes = attributes_of(labels, columns, title)
    images = [replace(file, labels=row) for file, row in zip(_captioned(plan, held), labels, strict=True)]
    return images, attributes, [*held.notes(plan.keys), *many_values(attributes, len(images))]


def _from_folders(plan: _Plan, roots: tuple[Path, ...]) -> _Labelled:
    """Return the images with the names of their folders as labels, and notes on metadata files."""
    classes = classes_of([file.name for file in plan.images])
    loose = [file.stored for file, label in zip(plan.images, classes, strict=True) if not label]
    notes = []
    if 0 < len(loose) < len(classes):
        count = f"{len(loose)} of {len(classes)} images lie outside class folders (such as {loose[0]})"
        text = f"{count}: all images have no class; move them into class folders if you want classes"
        notes = [Finding("unlabelled", text, "move all images into class folders, or none", "warning")]
    elif not loose and len(set(classes)) > 1:
        plan.images = [replace(file, labels=(label,)) for file, label in zip(plan.images, classes, strict=True)]
    if not plan.metadata:
        return plan.images, (), notes
    try:
        held = _annotations(plan, roots)
    except DataError as error:
        return plan.images, (), [*notes, Finding("metadata", f"a metadata file is not used: {error}")]
    return _captioned(plan, held), (), [*notes, *unused(held), *held.notes(plan.keys)]


def _annotations(plan: _Plan, roots: tuple[Path, ...]) -> Annotations:
    """Return the rows of all metadata files; raises DataError for one that cannot be read."""
    tables = []
    for container, key, entry in plan.metadata:
        title = f"{roots[key[0]]}/{key[1]}"
        try:
            content, reason = b"" if entry.refusal else container.read(entry.name), entry.refusal
        except Refused as refusal:
            content, reason = b"", str(refusal)
        if reason:
            raise DataError(f"{title} cannot be read ({reason}): replace or remove it")
        tables.append((key, parse(content, title)))
    return Annotations.of(tables)


def _captioned(plan: _Plan, held: Annotations) -> list[_File]:
    return [replace(file, caption=caption) for file, caption in zip(plan.images, held.captions(plan.keys), strict=True)]


def _item(file: _File, size: int = 0) -> Item | Skip:
    try:
        content = file.container.read(file.stored)
        pixels = decode(content, size)
    except Refused as refusal:
        return Skip(file.stored, str(refusal))
    return Item(file.name, file.side, file.labels, pixels, sha256(content).hexdigest(), file.caption)


def read_picture(path: Path) -> Item | Skip:
    """Return a single image file as an item, or the reason why it cannot be read."""
    return _item(_File(Folder(path.parent), path.name, (0, path.name), "train", path.name))

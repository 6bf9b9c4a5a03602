"""Images in a directory or archive; labels are the names of sub-folders, or columns of a metadata file."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from itertools import chain, islice
from os import fsencode
from pathlib import Path

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError, UsageError
from simulacra.core.home import expand_home
from simulacra.core.progress import Progress
from simulacra.core.text import printable
from simulacra.data.formats.archives import SUFFIXES as ARCHIVES
from simulacra.data.formats.archives import Container, Entry, Folder, is_run, opened, walk
from simulacra.data.formats.kinds import reason_by_name
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
from simulacra.data.formats.pixels import decode_all, decode_file, measure
from simulacra.data.formats.refused import Refused
from simulacra.data.layout.folders import (
    classes_of,
    not_an_image,
    parts,
    sides,
    split_folders,
    strip_wrappers,
    suspected_splits,
)
from simulacra.data.preparation.traits import ANY_LEVELS, measured_extremes
from simulacra.data.settings import DataConfig
from simulacra.data.source import Extremes, Finding, Item, LocalSource, Material, Reading, Side, Sizes, Skip, file_key

_ORDER: tuple[Side, ...] = ("train", "validation", "test")
_Roots = tuple[tuple[Path, Side | None], ...]
"""Folders and archives to read, with the split of their images; None where their names decide."""


def _find(config: DataConfig, progress: Progress) -> Material:
    """Return the images at config.path and config.test_path; raises DataError if there is nothing to read."""
    path = _existing(config.path)
    roots = (_split_archives(path) if path.is_dir() else ()) or ((path, None),)
    if config.test_path:
        if len(roots) > 1:
            raise UsageError(f"{path} contains its own test images: leave --test-path out, or give {roots[0][0]} as --path")
        roots = ((roots[0][0], "train"), (_existing(config.test_path), "test"))
    labels = [f"labels={','.join(config.label_columns)}"] if config.label_columns else []
    level = [f"level={config.class_level}"] if config.class_level > 1 else []
    key = "|".join(["folder", *(_key(root) for root, _ in roots), *labels, *level])
    title = stem(path)
    return Material(
        title,
        key,
        lambda: _reading(roots, config),
        sizes=lambda progress: _sizes(title, roots, progress),
        extremes=lambda progress: _extremes(title, roots, config, progress),
    )


_LISTED = 5  # names in a message, at most
_SUMMARY = "your own images: a folder, tar or zip archive (--path); classes are sub-folders or --label-column"
SOURCE = LocalSource("folder", _SUMMARY, "", "your own", _find)


def stem(path: Path) -> str:
    """Return the name of a folder or archive without the suffixes of archives.

    >>> stem(Path("data/Cats.tar.gz")), stem(Path("data/v1.5"))
    ('Cats', 'v1.5')
    """
    name = path.resolve().name
    suffixes = sorted((*ARCHIVES, ".npy", ".npz"), key=len, reverse=True)
    return printable(next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name))


def _existing(text: str) -> Path:
    path = expand_home(text)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise DataError(f"{path} cannot be read: {reason}: give a folder, tar or zip archive of images") from error
    if is_picture(path):
        raise DataError(f"{path} is a single image: give the folder that contains it")
    if is_run(path):
        raise DataError(f"{path} is a run folder, not data: give a folder of images, such as {path / 'samples'}")
    return path


def _split_archives(folder: Path) -> _Roots:
    """Return the archives of a folder that are named after splits, such as train.tar and test.tar; empty without train."""
    held = {name: folder / (name + suffix) for suffix in reversed(ARCHIVES) for name in _archives(folder, suffix)}
    known = {name: side for name, (side, label) in split_folders(held).items() if not label}
    known = known or ({"train": "train"} if "train" in held else {})
    return tuple((held[name], known[name]) for name in sorted(known, key=lambda name: _ORDER.index(known[name])))


def _archives(folder: Path, suffix: str) -> list[str]:
    """Return the names, without the suffix, of the archives with this suffix directly in a folder."""
    return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"[!.]*{suffix}") if path.is_file())


def _key(path: Path) -> str:
    """Return a key of a root, without reading images: for a folder the names, sizes and modification times of its files."""
    if not path.is_dir():
        return file_key(path)
    listing = sha256(fsencode(path.resolve()))
    for file in walk(path):
        listing.update(fsencode(f"\n{file.name}|{file.refusal}|{file.size}|{file.changed}"))
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
def _reading(roots: _Roots, config: DataConfig) -> Iterator[Reading]:
    columns = config.label_columns
    with ExitStack() as stack:
        plan = _plan([(stack.enter_context(opened(root)), side) for root, side in roots])
        paths = tuple(root for root, _ in roots)
        images, attributes, notes = (
            _from_columns(plan, paths, columns) if columns else _from_folders(plan, paths, config.class_level)
        )
        items = chain(plan.skipped, chain.from_iterable(_items(file, config) for file in images))
        yield Reading(len(images) + len(plan.skipped), items, tuple(notes), attributes)


@contextmanager
def all_images(path: Path, config: DataConfig) -> Iterator[Reading]:
    """Open a folder or archive for reading every image in it, without labels; folders named after splits have no meaning.

    Raises DataError for anything else.
    """
    with opened(_existing(str(path))) as container:
        plan = _plan([(container, "train")])
        yield Reading(
            len(plan.images) + len(plan.skipped),
            chain(plan.skipped, chain.from_iterable(_items(file, config) for file in plan.images)),
        )


def _plan(containers: list[tuple[Container, Side | None]]) -> _Plan:
    """Sort the files of containers; training images come first, with names without the folders that wrap all of a split."""
    plan = _Plan()
    for at, (container, side) in enumerate(containers):
        stored = []
        for entry in container.entries():
            if is_metadata(entry.name):
                plan.metadata.append((container, (at, _slashes(entry.name)), entry))
            elif reason := entry.refusal or not_an_image(_slashes(entry.name), partial(container.head, entry.name)):
                plan.skipped.append(Skip(printable(entry.name), reason))
            else:
                stored.append(entry.name)
        names = [printable(_slashes(name)) for name in stored]
        for path, (found, name) in zip(stored, [(side, name) for name in names] if side else sides(names), strict=True):
            if found:
                plan.images.append(_File(container, path, image_key(at, "", path), found, name))
            else:
                plan.skipped.append(Skip(printable(path), "outside the folders train and test"))
    groups = [[file for file in plan.images if file.side == side] for side in _ORDER]
    stripped = strip_wrappers([[file.name for file in group] for group in groups])
    plan.images = [replace(file, name=name) for file, name in zip(chain(*groups), chain(*stripped), strict=True)]
    return plan


def _sizes(title: str, roots: _Roots, progress: Progress) -> Sizes:
    """Return the number of images by (height, width) from their headers; of one size if only images of it can be decoded."""
    found = defaultdict[tuple[int, int], list[_File]](list)
    with ExitStack() as stack:
        files = _plan([(stack.enter_context(opened(root)), side) for root, side in roots]).images
        with progress.task(f"measuring {title}", len(files), "images") as meter:
            for file in files:
                with suppress(Refused), file.container.open(file.stored) as content:
                    found[measure(content)[:2]].append(file)
                meter.advance()
        decodable = (size for size, held in found.items() if any(map(_is_readable, held)))
        first = [*islice(decodable, 2)]
        return {size: len(held) for size, held in found.items() if len(first) == 2 or size in first}


def _is_readable(file: _File) -> bool:
    return isinstance(next(_items(file, DataConfig(size=1))), Item)


def _extremes(title: str, roots: _Roots, config: DataConfig, progress: Progress) -> Extremes:
    """Return the lowest and the highest value of the images of more than 8 bits, None without any."""
    low, high = ANY_LEVELS
    with _reading(roots, replace(config, levels=f"{low}..{high}")) as reading:
        return measured_extremes(title, reading, progress)


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


def _from_folders(plan: _Plan, roots: tuple[Path, ...], level: int) -> _Labelled:
    """Return the images with the names of their folders as labels, and notes on folders and metadata files.

    Images outside of class folders cost all images of their split the labels; those of the training split cost all images theirs.
    """
    classes = classes_of([file.name for file in plan.images], level)
    loose = {file.side: file for file, label in zip(plan.images, classes, strict=True) if not label}
    labelled = {file.side for file in plan.images} - loose.keys()
    notes = [*_split_notes(plan)]
    if "train" not in labelled or len({label for label in classes if label}) < 2:
        labelled = set()
    if any(classes) and loose:
        notes.append(_unlabelled(plan, classes, labelled))
    if labelled:
        notes += _level_notes(plan, classes, level)
    pairs = zip(plan.images, classes, strict=True)
    plan.images = [replace(file, labels=(label,) if file.side in labelled else ()) for file, label in pairs]
    if not plan.metadata:
        return plan.images, (), notes
    try:
        held = _annotations(plan, roots)
    except DataError as error:
        return plan.images, (), [*notes, Finding("metadata", f"a metadata file is not used: {error}")]
    return _captioned(plan, held), (), [*notes, *unused(held), *held.notes(plan.keys)]


def _unlabelled(plan: _Plan, classes: list[str], labelled: set[Side]) -> Finding:
    """Return the finding on images outside of class folders; labelled: the splits whose images have a class nevertheless."""
    loose = [file.stored for file, label in zip(plan.images, classes, strict=True) if not label]
    seen = f"{len(loose)} of {len(classes)} images lie outside class folders (such as {printable(loose[0])})"
    lost = sorted({f"{file.side} " for file in plan.images if file.side not in labelled}) if labelled else [""]
    what = f"{seen}: all {'and '.join(lost)}images have no class; move them into class folders if you want classes"
    remedy = "move all images into class folders, or none" if not labelled else "none needed if their classes are unknown"
    return Finding("unlabelled", what, remedy, "note" if labelled else "warning", len(loose))


def _split_notes(plan: _Plan) -> Iterator[Finding]:
    """Yield a warning on folders whose names denote splits although all images are for training."""
    if found := suspected_splits([file.name for file in plan.images]):
        what = f"{_listed(found)} {'is' if len(found) == 1 else 'are'} not used as a split, though named like one"
        remedy = "name folders train, validation and test side by side, or give --test-path; nothing if these are classes"
        yield Finding("split_names", what, remedy, "note" if found == ["train"] else "warning", len(found), tuple(found[:5]))


def _level_notes(plan: _Plan, classes: list[str], level: int) -> Iterator[Finding]:
    """Yield a note on the level of folders that is taken for the classes where folders are nested."""
    deeper = {folder for file in plan.images for folder in parts(file.name)[level:-1]}
    outer = {folder for file in plan.images for folder in parts(file.name)[: level - 1]}
    if deeper or outer:
        others = (("around", outer), ("inside", deeper))
        held = [f"folders {where} them ({_listed(sorted(names))})" for where, names in others if names]
        taken = f"classes are the {'outermost folders' if level == 1 else f'folders of level {level}'}"
        what = f"{taken} ({_listed(sorted({label for label in classes if label}))}); {' and '.join(held)} are not used"
        other = level + 1 if deeper else level - 1
        yield Finding(
            "class_level", what, f"add --class-level {other} for folders at another level", count=len(deeper) + len(outer)
        )


def _listed(names: list[str]) -> str:
    """Return the first few names, and the number of the others."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


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


def _items(file: _File, config: DataConfig) -> Iterator[Item | Skip]:
    """Yield the image of a file, or all of its images with config.frames, or why it cannot be read."""
    try:
        content = file.container.read(file.stored)
        form = config.enough, config.level_range
        images = [*decode_all(content, *form)] if config.frames else [decode_file(content, *form)]
    except Refused as refusal:
        yield Skip(printable(file.stored), str(refusal))
        return
    digest = sha256(content).hexdigest()
    for at, image in enumerate(images):
        several = len(images) > 1
        name, own = (f"{file.name}#{at:04d}", sha256(f"{at}|{digest}".encode()).hexdigest()) if several else (file.name, digest)
        yield Item(name, file.side, file.labels, image.pixels, own, file.caption, file.stored, image.traits)


def is_picture(path: Path) -> bool:
    """Return whether a path is that of a single image file, by its name or else by its first bytes."""
    if not path.is_file() or (reason := reason_by_name(path.name)):
        return False
    return reason == "" or not not_an_image(path.name, partial(Folder(path.parent).head, path.name))


def read_picture(path: Path, config: DataConfig) -> Item | Skip:
    """Return a single image file as an item, or the reason why it cannot be read."""
    return next(_items(_File(Folder(path.parent), path.name, (0, path.name), "train", printable(path.name)), config))

"""Prepared images on disk: pixels, labels, captions and a description in one folder of the cache, complete or absent."""

import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError
from simulacra.core.files import sync_folder
from simulacra.core.vocabulary import Vocabulary
from simulacra.data.locations import CACHE_VARIABLE, cache_folder
from simulacra.data.settings import DataConfig
from simulacra.data.source import Material, Pixels

FORMAT = 3  # raise when what is stored would differ for the same source and settings
IMAGES, LABELS, CAPTIONS, TOKENS, FACTS = "images.npy", "labels.npy", "captions.jsonl", "tokens.npy", "facts.json"
FILES = "files.jsonl"
UNKNOWN = -1  # the label of images in a split without labels
_EXAMPLES = 5
_DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError)  # errors of reading what is not complete
_ADVICE = f"free some space, or set {CACHE_VARIABLE} to a folder you can write to"
_STALE = 24 * 3600  # seconds after which a temporary folder is taken for that of a killed process


@dataclass(frozen=True)
class Skipped:
    """Files that were skipped: their number by reason, and the first few of each."""

    counts: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of files."""
        return sum(self.counts.values())

    def line(self) -> str:
        """Return one line with count, reason and first example of each."""
        parts = (f"{count} x {reason} (such as {self.examples[reason][0]})" for reason, count in self.counts.items())
        return "; ".join(parts) or "none"

    @staticmethod
    def of(files: Mapping[str, list[str]]) -> "Skipped":
        """Return the report of file names by reason."""
        examples = {reason: tuple(names[:_EXAMPLES]) for reason, names in files.items()}
        return Skipped({reason: len(names) for reason, names in files.items()}, examples)


@dataclass(frozen=True, eq=False)
class StoredTexts:
    """Some lines of a file of texts of images, each a JSON text, read on first use. rows: int64 [n], the line of each image."""

    path: Path
    rows: NDArray[np.int64]

    def __getitem__(self, indices: NDArray[np.int64] | slice) -> "StoredTexts":
        """Return the texts of some of the images."""
        return StoredTexts(self.path, self.rows[indices])

    def read(self) -> tuple[str, ...]:
        """Return the texts, one for each image; empty where an image has none."""
        lines = _lines(self.path)
        return tuple(json.loads(lines[row]) for row in self.rows)


@dataclass(frozen=True, eq=False)
class HeldTexts:
    """Texts of images in memory, one for each image, empty where an image has none."""

    texts: tuple[str, ...]

    def __getitem__(self, indices: NDArray[np.int64] | slice) -> "HeldTexts":
        """Return the texts of some of the images."""
        return HeldTexts(tuple(self.texts[row] for row in np.arange(len(self.texts))[indices]))

    def read(self) -> tuple[str, ...]:
        """Return the texts."""
        return self.texts


@lru_cache(maxsize=2)
def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")


@dataclass(frozen=True)
class Facts:
    """Description of prepared images.

    shape: (n, h, w, c); train: number of training images (validation included), which come first; digest: sha256 over the names,
    labels, captions and contents of the source, independent of archive format and settings; classes: values of the first
    attribute where there are several; attributes: empty unless there are several; captions: whether they are stored; vocabulary:
    of the captions of the training images, empty where it is not small, None without captions; held_out: number of images
    between those for training and those for testing that are in no split; validation: number of images of the source's own
    validation split, the last of those for training, or None without one.
    """

    name: str
    digest: str
    shape: tuple[int, int, int, int]
    train: int
    labelled: bool
    classes: tuple[str, ...]
    skipped: Skipped
    notes: tuple[str, ...]
    attributes: tuple[Attribute, ...] = ()
    captions: bool = False
    vocabulary: Vocabulary | None = None
    held_out: int = 0
    validation: int | None = None
    format: int = FORMAT

    @staticmethod
    def of(text: str) -> "Facts":
        """Return the facts of a JSON text; raises ValueError, TypeError or KeyError for any other text."""
        table = json.loads(text)
        counts, examples = table["skipped"]["counts"], table["skipped"]["examples"]
        skipped = Skipped(counts, {reason: tuple(names) for reason, names in examples.items()})
        lists = {name: tuple(table[name]) for name in ("shape", "classes", "notes")}
        attributes = tuple(Attribute(row["name"], tuple(row["values"])) for row in table["attributes"])
        words = table.get("vocabulary")  # folders of earlier versions have none
        vocabulary = words and Vocabulary(tuple(words["words"]), words["longest"])
        return Facts(**{**table, **lists, "skipped": skipped, "attributes": attributes, "vocabulary": vocabulary})


@dataclass(frozen=True)
class Prepared:
    """Prepared images. images: uint8 [n h w c], memory-mapped; labels: int64 [n], [n k] for k attributes, or None.

    labels are UNKNOWN in splits without labels; tokens: int16 [n t], the words of the captions by their number in the vocabulary,
    or None; files: paths of the images in their folder or archive, or None.
    """

    facts: Facts
    images: Pixels
    labels: NDArray[np.int64] | None
    captions: StoredTexts | None = None
    tokens: NDArray[np.int16] | None = None
    files: StoredTexts | None = None


def place(material: Material, config: DataConfig) -> Path:
    """Return the folder for the images of a material prepared with these settings."""
    held_out = [config.hold_out] if config.hold_out else []
    identity = json.dumps([FORMAT, material.name, material.key, config.size, config.channels, *config.marks, *held_out])
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in material.name)
    return cache_folder() / "prepared" / f"{plain}-{sha256(identity.encode()).hexdigest()[:16]}"


def read(folder: Path) -> Prepared | None:
    """Return the prepared images in a folder, or None if there are none or they are damaged."""
    try:
        facts = Facts.of((folder / FACTS).read_text())
        images = np.asarray(np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False))
        labels = np.load(folder / LABELS, allow_pickle=False) if facts.labelled else None
        captioned = not facts.captions or (folder / CAPTIONS).read_bytes().count(b"\n") == len(images)
        tokens = np.load(folder / TOKENS, allow_pickle=False) if facts.vocabulary and facts.vocabulary.words else None
    except _DAMAGED:
        return None
    complete = facts.format == FORMAT and images.shape == facts.shape and images.dtype == np.uint8
    complete &= 0 <= facts.train <= facts.train + facts.held_out <= len(images)
    if not (complete and captioned and _are_valid(labels, facts) and _are_words(tokens, facts)):
        return None
    rows = np.arange(len(images))
    captions = StoredTexts(folder / CAPTIONS, rows) if facts.captions else None
    files = StoredTexts(folder / FILES, rows) if (folder / FILES).is_file() else None
    return Prepared(facts, images, labels, captions, tokens, files)


def _are_valid(labels: NDArray[np.int64] | None, facts: Facts) -> bool:
    """Return whether labels have the shape and the values that the facts name."""
    if labels is None:
        return True
    sizes = [len(attribute.values) for attribute in facts.attributes] or len(facts.classes)
    shape = (facts.shape[0], *([len(facts.attributes)] if facts.attributes else []))
    return labels.shape == shape and labels.dtype == np.int64 and bool(((labels >= UNKNOWN) & (labels < np.array(sizes))).all())


def _are_words(tokens: NDArray[np.int16] | None, facts: Facts) -> bool:
    """Return whether tokens have the shape and the values that the facts name; earlier versions stored no vocabulary."""
    if facts.vocabulary is None or tokens is None:
        return not facts.captions or facts.vocabulary is not None
    shape, most = (facts.shape[0], facts.vocabulary.longest), len(facts.vocabulary.words)
    return tokens.shape == shape and tokens.dtype == np.int16 and bool(((tokens >= 0) & (tokens <= most)).all())


def prepared_names() -> set[str]:
    """Return the names of the data sets that are prepared in the cache, with any settings."""
    found = set()
    for path in (cache_folder() / "prepared").glob(f"[!.]*/{FACTS}"):
        with suppress(*_DAMAGED):
            found.add(Facts.of(path.read_text()).name)
    return found


@contextmanager
def temporary_beside(folder: Path, what: str = "prepared images", advice: str = _ADVICE) -> Iterator[Path]:
    """Provide a temporary folder beside the final one, which is removed at the end; also removes those of killed processes.

    Raises DataError if it cannot be written, with `what` it was for and `advice`.
    """
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for old in folder.parent.glob(".making-*"):
            if time.time() - old.stat().st_mtime > _STALE:
                shutil.rmtree(old, ignore_errors=True)
        temporary = _fresh(folder.parent)
        yield temporary
    except OSError as error:
        raise DataError(f"cannot write {what} to {folder.parent}: {error.strerror or error}: {advice}") from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _fresh(parent: Path) -> Path:
    folder = parent / f".making-{uuid.uuid4().hex}"
    folder.mkdir()  # with the user's usual permissions: a cache may be shared
    return folder


def publish(temporary: Path, folder: Path) -> None:
    """Rename a finished folder to its final name; replaces a damaged folder, keeps a complete one of another process."""
    try:
        temporary.rename(folder)
    except OSError:
        if read(folder):
            return
        aside = _fresh(folder.parent) / "damaged"
        with suppress(FileNotFoundError):
            folder.rename(aside)
        shutil.rmtree(aside.parent, ignore_errors=True)
        temporary.rename(folder)
    sync_folder(folder.parent)

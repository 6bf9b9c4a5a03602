"""Prepared images on disk: pixels, labels, captions and a description in one folder of the cache, complete or absent."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulacra.core.attribute import Attribute
from simulacra.data.locations import cache_folder
from simulacra.data.settings import DataConfig
from simulacra.data.source import Material, Pixels

FORMAT = 2  # raise when what is stored would differ for the same source and settings
IMAGES, LABELS, CAPTIONS, FACTS = "images.npy", "labels.npy", "captions.jsonl", "facts.json"
_EXAMPLES = 5


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
class Captions:
    """Some lines of a JSON-lines file of captions, read when they are first used. rows: int64 [n], the line of each image."""

    path: Path
    rows: NDArray[np.int64]

    def __getitem__(self, indices: NDArray[np.int64] | slice) -> "Captions":
        """Return the captions of some of the images."""
        return Captions(self.path, self.rows[indices])

    def read(self) -> tuple[str, ...]:
        """Return the captions, one for each image; empty where an image has none."""
        lines = _lines(self.path)
        return tuple(json.loads(lines[row]) for row in self.rows)


@lru_cache(maxsize=2)
def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")


def write_captions(path: Path, captions: Iterable[str]) -> None:
    """Write captions as JSON lines, of which each is one text."""
    path.write_text("".join(f"{json.dumps(caption)}\n" for caption in captions))


@dataclass(frozen=True)
class Facts:
    """Description of prepared images.

    shape: (n, h, w, c); train: number of training images (validation included), which come first; digest: sha256 over the names,
    labels, captions and contents of the source, independent of archive format and settings; classes: values of the first
    attribute where there are several; attributes: empty unless there are several; captions: whether they are stored.
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
    format: int = FORMAT

    @staticmethod
    def of(text: str) -> "Facts":
        """Return the facts of a JSON text; raises ValueError, TypeError or KeyError for any other text."""
        table = json.loads(text)
        counts, examples = table["skipped"]["counts"], table["skipped"]["examples"]
        skipped = Skipped(counts, {reason: tuple(names) for reason, names in examples.items()})
        lists = {name: tuple(table[name]) for name in ("shape", "classes", "notes")}
        attributes = tuple(Attribute(row["name"], tuple(row["values"])) for row in table["attributes"])
        return Facts(**{**table, **lists, "skipped": skipped, "attributes": attributes})


@dataclass(frozen=True)
class Prepared:
    """Prepared images. images: uint8 [n h w c], memory-mapped; labels: int64 [n], [n k] for k attributes, or None."""

    facts: Facts
    images: Pixels
    labels: NDArray[np.int64] | None
    captions: Captions | None = None


def place(material: Material, config: DataConfig) -> Path:
    """Return the folder for the images of a material prepared with these settings."""
    identity = json.dumps([FORMAT, material.name, material.key, config.size, config.channels])
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in material.name)
    return cache_folder() / "prepared" / f"{plain}-{sha256(identity.encode()).hexdigest()[:16]}"


def read(folder: Path) -> Prepared | None:
    """Return the prepared images in a folder, or None if there are none or they are damaged."""
    try:
        facts = Facts.of((folder / FACTS).read_text())
        images = np.asarray(np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False))
        labels = np.load(folder / LABELS, allow_pickle=False) if facts.labelled else None
        captioned = not facts.captions or (folder / CAPTIONS).read_bytes().count(b"\n") == len(images)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError):
        return None
    complete = facts.format == FORMAT and images.shape == facts.shape and images.dtype == np.uint8 and facts.train <= len(images)
    if not (complete and captioned and _are_valid(labels, facts)):
        return None
    captions = Captions(folder / CAPTIONS, np.arange(len(images))) if facts.captions else None
    return Prepared(facts, images, labels, captions)


def _are_valid(labels: NDArray[np.int64] | None, facts: Facts) -> bool:
    """Return whether labels have the shape and the values that the facts name."""
    if labels is None:
        return True
    sizes = [len(attribute.values) for attribute in facts.attributes] or len(facts.classes)
    shape = (facts.shape[0], *([len(facts.attributes)] if facts.attributes else []))
    return labels.shape == shape and labels.dtype == np.int64 and bool(((labels >= 0) & (labels < np.array(sizes))).all())


def prepared_names() -> set[str]:
    """Return the names of the data sets that are prepared in the cache, with any settings."""
    found = set()
    for path in (cache_folder() / "prepared").glob(f"[!.]*/{FACTS}"):
        try:
            found.add(Facts.of(path.read_text()).name)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found

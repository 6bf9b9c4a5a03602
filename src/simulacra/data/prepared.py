"""Prepared images on disk: an array, labels and facts in one folder of the cache, whole or absent."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulacra.data.locations import cache_folder
from simulacra.data.settings import DataConfig
from simulacra.data.source import Material, Pixels

FORMAT = 1  # raise when the stored pixels or their order would differ for the same source and settings
IMAGES, LABELS, FACTS = "images.npy", "labels.npy", "facts.json"
_EXAMPLES = 5


@dataclass(frozen=True)
class Skipped:
    """Files that were not taken: how many per reason, and the first few of each."""

    counts: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of files."""
        return sum(self.counts.values())

    def line(self) -> str:
        """Return it in one line: reason, count and first example each."""
        parts = (f"{count} x {reason} (such as {self.examples[reason][0]})" for reason, count in self.counts.items())
        return "; ".join(parts) or "none"

    @staticmethod
    def of(files: Mapping[str, list[str]]) -> "Skipped":
        """Return the report of file names by reason."""
        return Skipped(
            {reason: len(names) for reason, names in files.items()},
            {reason: tuple(names[:_EXAMPLES]) for reason, names in files.items()},
        )


@dataclass(frozen=True)
class Facts:
    """What is known of prepared images.

    shape: of all of them, (n, h, w, c); train: how many are training images (validation included), the test images follow;
    digest: sha256 over the names, classes and contents of the source, independent of its packing and of the settings.
    """

    name: str
    digest: str
    shape: tuple[int, int, int, int]
    train: int
    labelled: bool
    classes: tuple[str, ...]
    skipped: Skipped
    notes: tuple[str, ...]
    format: int = FORMAT

    def json(self) -> str:
        """Return the facts as JSON."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def of(text: str) -> "Facts":
        """Return the facts of a JSON text; raises ValueError, TypeError or KeyError where it is none."""
        table = json.loads(text)
        counts, examples = table["skipped"]["counts"], table["skipped"]["examples"]
        skipped = Skipped(counts, {reason: tuple(names) for reason, names in examples.items()})
        lists = {name: tuple(table[name]) for name in ("shape", "classes", "notes")}
        return Facts(**{**table, **lists, "skipped": skipped})


@dataclass(frozen=True)
class Prepared:
    """Prepared images as they stand on disk: images uint8 [n h w c], memory-mapped; labels int64 [n] or None."""

    facts: Facts
    images: Pixels
    labels: NDArray[np.int64] | None


def place(material: Material, config: DataConfig) -> Path:
    """Return the folder in which the images of a material stand once they are prepared with these settings."""
    identity = json.dumps([FORMAT, material.name, material.key, config.size, config.channels])
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in material.name)
    return cache_folder() / "prepared" / f"{plain}-{sha256(identity.encode()).hexdigest()[:16]}"


def read(folder: Path) -> Prepared | None:
    """Return the prepared images in a folder, or None where there are none or they are damaged."""
    try:
        facts = Facts.of((folder / FACTS).read_text())
        images = np.asarray(np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False))
        labels = np.load(folder / LABELS, allow_pickle=False) if facts.labelled else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError):
        return None
    whole = facts.format == FORMAT and images.shape == facts.shape and images.dtype == np.uint8 and facts.train <= len(images)
    fitting = labels is None or (
        labels.shape == (len(images),) and labels.dtype == np.int64 and 0 <= labels.min() <= labels.max() < len(facts.classes)
    )
    return Prepared(facts, images, labels) if whole and fitting else None


def prepared_names() -> set[str]:
    """Return the names of the data sets that stand prepared in the cache, with whatever settings."""
    found = set()
    for path in (cache_folder() / "prepared").glob(f"[!.]*/{FACTS}"):
        try:
            found.add(Facts.of(path.read_text()).name)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found

"""Counting of images, sizes and classes in shards without an index, without decoding the images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from simulacra.core.progress import Progress
from simulacra.data.folder_layout import ordered
from simulacra.data.formats.pixels import Refused, measure
from simulacra.data.shards.reading import samples


@dataclass(frozen=True)
class Shard:
    """One archive: its file name, number of images, and size in bytes."""

    file: str
    images: int
    size: int


@dataclass(frozen=True)
class Counted:
    """Result of one pass over shards.

    digests: of the names and sizes of the files in each shard; sizes: images by (height, width); channels: 1 if all images are
    grey, else 3; labels: texts of the classes in order, empty unless every image has one; notes: problems.
    """

    shards: tuple[Shard, ...]
    digests: tuple[str, ...]
    sizes: Mapping[tuple[int, int], int]
    channels: int
    labels: tuple[str, ...]
    notes: tuple[str, ...]

    def table(self) -> dict[str, Any]:
        """Return the result as a table for JSON."""
        return {**asdict(self), "sizes": [[*size, number] for size, number in self.sizes.items()]}

    @staticmethod
    def of(table: Mapping[str, Any]) -> "Counted":
        """Return the result of a table made by `table`; raises ValueError, TypeError or KeyError for any other."""
        sizes = {(int(height), int(width)): int(number) for height, width, number in table["sizes"]}
        shards = tuple(Shard(**row) for row in table["shards"])
        digests, labels, notes = (tuple(table[name]) for name in ("digests", "labels", "notes"))
        return Counted(shards, digests, sizes, int(table["channels"]), labels, notes)


def count(name: str, paths: Sequence[Path], progress: Progress) -> Counted:
    """Count the images in the shards at `paths`; raises DataError for one that is damaged or truncated."""
    tally = _Tally()
    with progress.task(f"counting {name}", len(paths), "shards") as meter:
        counted = []
        for path in paths:
            counted.append(_one(path, tally))
            meter.advance()
    shards, digests = zip(*counted, strict=True)
    labels = ordered(set(tally.labels)) if not tally.unlabelled else ()
    return Counted(shards, digests, dict(tally.sizes.most_common()), tally.channels, labels, tally.notes())


class _Tally:
    """Counts over all shards."""

    def __init__(self) -> None:
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.labels: Counter[str] = Counter()
        self.unlabelled, self.channels = 0, 1

    def take(self, content: bytes, label: str | None) -> None:
        """Add one image, by its header."""
        self.labels.update([label] if label is not None else [])
        self.unlabelled += label is None
        try:
            height, width, channels = measure(content)
        except Refused:
            return  # reported when it is decoded
        self.sizes[height, width] += 1
        self.channels = max(self.channels, channels)

    def notes(self) -> tuple[str, ...]:
        """Return remarks for the user."""
        if not self.labels or not self.unlabelled:
            return ()
        total = self.labels.total() + self.unlabelled
        return (f"{self.unlabelled} of {total} images have no class, neither .cls nor .json: no image has a class",)


def _one(path: Path, tally: _Tally) -> tuple[Shard, str]:
    listing, images = sha256(), 0
    for sample in samples(path):
        tally.take(sample.content, sample.label)
        listing.update(f"{sample.name}|{len(sample.content)}|{sample.label}\n".encode())
        images += 1
    return Shard(path.name, images, path.stat().st_size), f"{path.name}|{listing.hexdigest()}"

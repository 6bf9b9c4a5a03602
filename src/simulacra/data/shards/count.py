"""Counting the shards of others: how many images each holds, of which sizes and classes, without decoding them."""

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
    """One archive: its file's name, how many images it holds, and its size in bytes."""

    file: str
    images: int
    size: int


@dataclass(frozen=True)
class Counted:
    """What one pass over shards has shown.

    digests: of the names and sizes of the files in each shard; sizes: images by (height, width); channels: 1 where all are
    grey, else 3; labels: the texts of the classes in order, empty unless every image has one; notes: what is amiss.
    """

    shards: tuple[Shard, ...]
    digests: tuple[str, ...]
    sizes: Mapping[tuple[int, int], int]
    channels: int
    labels: tuple[str, ...]
    notes: tuple[str, ...]

    def table(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "sizes": [[*size, number] for size, number in self.sizes.items()]}

    @staticmethod
    def of(table: Mapping[str, Any]) -> "Counted":
        """Return what `table` gave; raises ValueError, TypeError or KeyError for anything else."""
        sizes = {(int(height), int(width)): int(number) for height, width, number in table["sizes"]}
        shards = tuple(Shard(**row) for row in table["shards"])
        digests, labels, notes = (tuple(table[name]) for name in ("digests", "labels", "notes"))
        return Counted(shards, digests, sizes, int(table["channels"]), labels, notes)


def count(name: str, paths: Sequence[Path], progress: Progress) -> Counted:
    """Return what the shards at `paths` hold; raises DataError for one that is damaged or truncated."""
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
    """What is noted over all shards."""

    def __init__(self) -> None:
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.labels: Counter[str] = Counter()
        self.unlabelled, self.channels = 0, 1

    def take(self, content: bytes, label: str | None) -> None:
        """Look at the first bytes of one image."""
        self.labels.update([label] if label is not None else [])
        self.unlabelled += label is None
        try:
            height, width, channels = measure(content)
        except Refused:
            return  # it is told when it is met in training
        self.sizes[height, width] += 1
        self.channels = max(self.channels, channels)

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know."""
        if not self.labels or not self.unlabelled:
            return ()
        total = self.labels.total() + self.unlabelled
        return (f"{self.unlabelled} of {total} images have no class, neither .cls nor .json: all go without classes",)


def _one(path: Path, tally: _Tally) -> tuple[Shard, str]:
    listing, images = sha256(), 0
    for sample in samples(path):
        tally.take(sample.content, sample.label)
        listing.update(f"{sample.name}|{len(sample.content)}|{sample.label}\n".encode())
        images += 1
    return Shard(path.name, images, path.stat().st_size), f"{path.name}|{listing.hexdigest()}"

"""Counting of images, sizes and classes in shards without an index, without decoding the images."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
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


def count(name: str, paths: Sequence[Path], progress: Progress) -> dict[str, Any]:
    """Count the images in the shards at `paths` in one pass; raises DataError for one that is damaged or truncated.

    Returns a table for JSON. shards: fields of each `Shard`; digests: of the names and sizes of the files in each shard; sizes:
    height, width and number of images, the most frequent first; channels: 1 if all images are grey, else 3; labels: texts of the
    classes in order, empty unless every image has one; notes: problems.
    """
    labels, shapes, counted = Counter[str | None](), Counter[tuple[int, int, int]](), list[tuple[Shard, str]]()
    with progress.task(f"counting {name}", len(paths), "shards") as meter:
        for path in paths:
            counted.append(_one(path, labels, shapes))
            meter.advance()
    sizes = Counter[tuple[int, int]]()
    for (height, width, _), number in shapes.items():
        sizes[height, width] += number
    classes, notes = ordered({label for label in labels if label is not None}), list[str]()
    if classes and labels[None]:
        notes = [f"{labels[None]} of {labels.total()} images have no class, neither .cls nor .json: no image has a class"]
    return {
        "shards": [asdict(shard) for shard, _ in counted],
        "digests": [digest for _, digest in counted],
        "sizes": [[*size, number] for size, number in sizes.most_common()],
        "channels": max((channels for _, _, channels in shapes), default=1),
        "labels": [] if labels[None] else [*classes],
        "notes": notes,
    }


def _one(path: Path, labels: Counter[str | None], shapes: Counter[tuple[int, int, int]]) -> tuple[Shard, str]:
    """Count the images of one shard by label and, as their headers declare, by (height, width, channels)."""
    listing, images = sha256(), 0
    for sample in samples(path):
        labels[sample.label] += 1
        with suppress(Refused):  # reported when it is decoded
            shapes[measure(sample.content)] += 1
        listing.update(f"{sample.name}|{len(sample.content)}|{sample.label}\n".encode())
        images += 1
    return Shard(path.name, images, path.stat().st_size), f"{path.name}|{listing.hexdigest()}"

"""What a source of images is: it finds its material, and the material can be read image by image."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig

if TYPE_CHECKING:
    from simulacra.data.shards.index import Index

Pixels = NDArray[np.uint8]
"""One image [h w c] or several [n h w c], values 0..255."""

Side = Literal["train", "test"]
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Item:
    """One image of a source.

    name: unique within its side; label: name of its class; pixels: uint8 [h w c]; digest: sha256 of its contents, in hex.
    """

    name: str
    side: Side
    label: str | None
    pixels: Pixels
    digest: str


@dataclass(frozen=True)
class Skip:
    """A file that is no image of the source, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """The items of a material, once, in any order.

    count: how many there are, skipped ones included; notes: what the user should know of the whole.
    """

    count: int
    items: Iterable[Item | Skip]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Material:
    """Images that stand on this machine, not yet decoded.

    name: what results call it; key: changes when the contents change, and is known without reading them;
    open: starts a reading; classes: their fixed order, or empty for the sorted names that the items bear;
    shards: the index of material that may be streamed.
    """

    name: str
    key: str
    open: Callable[[], AbstractContextManager[Reading]]
    classes: tuple[str, ...] = ()
    shards: "Index | None" = None


class Source(Protocol):
    """One kind of data set; every file in `sources/` defines one as SOURCE."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def summary(self) -> str:
        """What it is, in one line."""

    @property
    def size(self) -> str:
        """How many images of which shape, in words."""

    def place(self) -> str | None:
        """Return where it stands on this machine, or None if it would have to be downloaded."""

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the material, downloaded if need be; raises DataError where it cannot be had."""


@dataclass(frozen=True)
class Block:
    """Images that a source holds as an array: uint8 [n h w c], with class numbers int64 [n] or None."""

    side: Side
    images: Pixels
    labels: NDArray[np.int64] | None


def array_material(name: str, key: str, blocks: Callable[[], Sequence[Block]], classes: tuple[str, ...] = ()) -> Material:
    """Return the material of a source that holds its images as arrays, read by `blocks`; without `classes` numbers are names."""

    @contextmanager
    def opened() -> Iterator[Reading]:
        held = blocks()
        yield Reading(sum(len(block.images) for block in held), _items(held, classes))

    return Material(name, key, opened, classes)


def _items(blocks: Sequence[Block], classes: tuple[str, ...]) -> Iterator[Item]:
    for block in blocks:
        for index, pixels in enumerate(block.images):
            number = None if block.labels is None else block.labels[index]
            label = None if number is None else classes[number] if classes else str(number)
            yield Item(f"{index:07d}", block.side, label, pixels, sha256(pixels.tobytes()).hexdigest())


def file_key(path: Path) -> str:
    """Return what identifies a file without reading it: its place, size and time of change.

    Reading 100 MB for a digest takes longer than opening the prepared images, so a file is trusted to have changed its time
    with its contents, as build tools do. Its place is part of the key because archives of one size and second are common.
    """
    facts = path.stat()
    return f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"

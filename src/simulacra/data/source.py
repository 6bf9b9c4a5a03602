"""Interface of sources of images: a source finds its material, which is read image by image."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from simulacra.core.attribute import Attribute
from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig

if TYPE_CHECKING:
    from simulacra.data.shards.index import Index

Pixels = NDArray[np.uint8]
"""One image [h w c] or several [n h w c], values 0..255."""

Sizes = Mapping[tuple[int, int], int]
"""Number of images by (height, width)."""

Extremes = tuple[float, float] | None
"""The lowest and the highest value of images of more than 8 bits, None where there are none."""

SplitName = Literal["train", "validation", "test"]
Side = SplitName
"""The split that a source assigns an image to; without test or validation images, some training images are held out for them."""


@dataclass(frozen=True)
class Traits:
    """Properties of an image file that its pixels do not show.

    images: number of images in it; profile: name of the colour profile that they were converted from, or empty; extremes: the
    lowest and the highest value of an image of more than 8 bits, None for others.
    """

    images: int = 1
    profile: str = ""
    extremes: Extremes = None


@dataclass(frozen=True)
class Item:
    """One image of a source.

    name: unique within its side; labels: name of its class, or one value for each attribute, empty without labels;
    pixels: uint8 [h w c]; digest: sha256 of its contents, in hex; caption: None without captions; file: its path inside the
    folder or archive, empty where it has none.
    """

    name: str
    side: Side
    labels: tuple[str, ...]
    pixels: Pixels
    digest: str
    caption: str | None = None
    file: str = ""
    traits: Traits = Traits()


@dataclass(frozen=True)
class Skip:
    """A file that is not read as an image, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """A remark on the images of a source.

    kind: its stable name; what: one sentence; remedy: what to do, or empty; severity: an "error" stops training, a "warning"
    harms results, a "note" is information; count: number of images, files or classes concerned; examples: the first few.
    """

    kind: str
    what: str
    remedy: str = ""
    severity: Literal["error", "warning", "note"] = "note"
    count: int = 1
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """The items of a material, in any order; they can be iterated over once.

    count: number of items, skipped ones included; attributes: the properties that the labels of each item are values of, in
    order, with all values, or with none for the sorted values of the items; empty if labels are the names of classes.
    """

    count: int
    items: Iterable[Item | Skip]
    notes: tuple[Finding, ...] = ()
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True)
class Material:
    """Images on this machine, not yet decoded.

    name: used in results; key: changes when the contents change, and is known without reading them; open: starts a reading;
    classes: names of the classes in their order, or empty for the sorted labels of the items; shards: the index of material that
    can be streamed; sizes: measures the images without decoding them, None where all have the same size;
    extremes: measures their values, None where all have 8 bits.
    """

    name: str
    key: str
    open: Callable[[], AbstractContextManager[Reading]]
    classes: tuple[str, ...] = ()
    shards: "Index | None" = None
    sizes: Callable[[Progress], Sizes] | None = None
    extremes: Callable[[Progress], Extremes] | None = None


class Source(Protocol):
    """One kind of data set; every file in `sources/` defines one as SOURCE."""

    @property
    def name(self) -> str:
        """Its name, as users give it."""

    @property
    def summary(self) -> str:
        """A description of one line."""

    @property
    def size(self) -> str:
        """Number and shape of the images, in words."""

    def place(self) -> str | None:
        """Return its location on this machine, or None if it must be downloaded."""

    def find(self, config: DataConfig, progress: Progress, /) -> Material:
        """Return the material; downloads it if necessary. Raises DataError if it cannot be found or downloaded."""


@dataclass(frozen=True)
class LocalSource:
    """A source that never downloads. where: its location, in words; find: as `Source.find`."""

    name: str
    summary: str
    size: str
    where: str
    find: Callable[[DataConfig, Progress], Material]

    def place(self) -> str:
        """Return the location."""
        return self.where


@dataclass(frozen=True)
class Block:
    """Images of a source in one array: uint8 [n h w c], with class numbers int64 [n] or None."""

    side: Side
    images: Pixels
    labels: NDArray[np.int64] | None


def array_material(
    name: str,
    key: str,
    blocks: Callable[[], Sequence[Block]],
    classes: tuple[str, ...] = (),
    notes: Callable[[], Sequence[Finding]] = tuple,
) -> Material:
    """Return the material of a source of arrays, which `blocks` reads; without `classes` the class names are the numbers."""

    def reading() -> Reading:
        held = blocks()
        return Reading(sum(len(block.images) for block in held), _items(held, classes), tuple(notes()))

    return Material(name, key, lambda: nullcontext(reading()), classes)


def _items(blocks: Sequence[Block], classes: tuple[str, ...]) -> Iterator[Item]:
    for block in blocks:
        for index, pixels in enumerate(block.images):
            number = None if block.labels is None else block.labels[index]
            labels = () if number is None else (classes[number] if classes else str(number),)
            yield Item(f"{index:07d}", block.side, labels, pixels, sha256(pixels.tobytes()).hexdigest())


def file_key(path: Path) -> str:
    """Return a key that identifies a file without reading it: its path, size and modification time.

    Hashing 100 MB takes longer than opening the prepared images, so the modification time is assumed to change with the contents,
    as in build tools. The path is part of the key because archives of equal size and time are common.
    """
    status = path.stat()
    return f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"

"""Translation between the domains of a model: of images, of files of pictures, and there and back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Translates
from simulacra.core.errors import DataError, UsageError, unknown
from simulacra.core.progress import Meter, Progress
from simulacra.data.dataset import to_floats
from simulacra.data.folder_layout import parts
from simulacra.data.formats.pixels import Refused
from simulacra.data.load import fitted, is_picture, reading
from simulacra.data.source import Item, Pixels, Reading, Skip
from simulacra.images import grid as pictures

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

_AT_ONCE, _PIXELS = 256, 2**20  # images that pass a translator together, fewer where they are large

Journey = tuple[Tensor, Tensor, Tensor]
"""Images of one domain, their translations, and these translated back; float [n c h w] in [0, 1] in the shape of each domain."""


def source_of(model: Translates, to: str) -> str:
    """Return the domain whose images become those of `to`; raises UsageError where the model knows no such domain."""
    if to not in model.domains:
        raise unknown("domain", to, model.domains)
    return next(name for name in model.domains if name != to)


def translated(model: Translates, images: Tensor, to: str) -> Tensor:
    """Return the translations of images [n c h w], some at once."""
    return torch.cat([model.translate(piece, to) for piece in images.split(_at_once(*images.shape[2:]))])


def there_and_back(model: Translates, images: Tensor, to: str) -> Journey:
    """Return images, their translations into the domain `to`, and what these are translated back to."""
    there = translated(model, images, to)
    return images, there, translated(model, there, source_of(model, to))


@dataclass(frozen=True)
class Order:
    """Files to translate: into which domain, from where, into which place (None: in RUN/pictures), how many at most (0: all)."""

    to: str
    path: Path
    out: Path | None = None
    count: int = 0


@dataclass(frozen=True)
class Written:
    """What became of an order: where the pictures lie, how many, and what was skipped with the first reason."""

    path: Path
    count: int
    skipped: int
    reason: str


def translate_files(trained: "OpenedRun", order: Order, progress: Progress) -> Written:
    """Translate the images of a picture file, folder, archive or array file into PNG files.

    A single picture becomes one PNG file, all else a folder of them, under the names of the originals.
    Raises UsageError where something stands there, DataError where there is no image to read.
    """
    spec = trained.spec.domain(trained.source_of(order.to))
    path, alone = order.path, is_picture(order.path)
    name = f"{path.stem}_to_{order.to}.png" if alone else f"{path.resolve().name}_to_{order.to}"
    place = order.out or trained.run.path / "pictures" / name
    _refuse(place, alone)
    names, skips = _Names(place, alone), list[str]()
    with reading(path) as found:
        total = min(order.count or found.count, found.count)
        with progress.task("translating", total, "images") as meter:
            for batch in _batches(found, spec, total, skips, meter):
                images = to_floats(torch.from_numpy(np.stack([pixels for _, pixels in batch])))
                for (name, _), image in zip(batch, trained.translate(images, order.to), strict=True):
                    pictures.save_image(image, names.place(name))
                meter.advance(len(batch))
    if not names.taken:
        seen = f" ({len(skips)} files skipped, such as {skips[0]})" if skips else ""
        raise DataError(f"{path} holds no image that can be used{seen}: give a picture, or a folder or archive of pictures")
    return Written(place, len(names.taken), len(skips), skips[0] if skips else "")


def _refuse(place: Path, alone: bool) -> None:
    """Raise UsageError where translations cannot be written without mixing them with something else."""
    if alone and place.suffix.lower() != ".png":
        raise UsageError(f"{place} ends in {place.suffix or 'nothing'!r}: one picture is written as .png")
    if not alone and place.suffix.lower() == ".png":
        raise UsageError(f"{place} is one picture, and the input may hold many: name a folder")
    if place.is_file() if not alone else place.is_dir():
        raise UsageError(f"{place} exists already, and is {'a folder' if alone else 'a file'}: choose another --out")
    if place.is_dir() and any(place.iterdir()):
        raise UsageError(f"{place} exists already and is not empty: choose another --out")


class _Names:
    """Where each translation is written: under the name of its original, as PNG."""

    def __init__(self, place: Path, alone: bool) -> None:
        self.folder, self.alone = place, alone
        self.taken: set[Path] = set()

    def place(self, name: str) -> Path:
        """Return the path of a translation; names that differ in their ending alone keep it, others of one name are numbered."""
        inside = Path(*(part for part in parts(name.replace("\\", "/")) if part != ".."))
        candidates = [inside.with_suffix(".png"), inside.with_name(f"{inside.name}.png")]
        number = 2
        while candidates[0] in self.taken:
            candidates = candidates[1:] or [inside.with_name(f"{inside.name}-{number}.png")]
            number += 1
        self.taken.add(candidates[0])
        return self.folder if self.alone else self.folder / candidates[0]


def _batches(found: Reading, spec: DataSpec, total: int, skips: list[str], meter: Meter) -> Iterator[list[tuple[str, Pixels]]]:
    """Yield named images fitted to a shape, some at once, `total` of them at most; what is skipped is noted with its reason."""
    batch: list[tuple[str, Pixels]] = []
    taken = 0
    for item in found.items:
        if taken == total:
            break
        try:
            batch.append(_named(item, spec))
            taken += 1
        except Refused as refusal:
            skips.append(f"{item.name}: {refusal}")
            meter.advance()
        if len(batch) == _at_once(spec.height, spec.width):
            yield batch
            batch = []
    if batch:
        yield batch


def _named(item: Item | Skip, spec: DataSpec) -> tuple[str, Pixels]:
    return item.name, fitted(item, spec)


def _at_once(height: int, width: int) -> int:
    return max(1, min(_AT_ONCE, _PIXELS // (height * width)))

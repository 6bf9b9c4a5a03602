"""Images of a user for use with a model: their names, their pixels fitted to its shape, and which of these are opaque."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.home import expand_home
from simulacra.core.text import printable
from simulacra.data.dataset import to_floats
from simulacra.data.formats.archives import Container, Folder, opened
from simulacra.data.formats.fitting import fit
from simulacra.data.formats.pixels import decode, opacity
from simulacra.data.formats.refused import Refused
from simulacra.data.layout.folders import not_an_image
from simulacra.data.load import no_images, reading
from simulacra.data.source import Item, Pixels, Skip
from simulacra.data.sources import is_folder
from simulacra.data.sources.folder import is_picture

_OPAQUE = 254  # opacity, of 255, from which a pixel counts as opaque: resizing rounds

_Layers = tuple[Pixels, Pixels | None]
"""The pixels of an image, uint8 [h w c], and its opacity, uint8 [h w 1], None where the file stores none."""


@dataclass(frozen=True)
class OwnImages:
    """Images fitted to the shape of a model.

    names: one for each image, inside its folder or archive; images: float32 [n c h w] in [0, 1], transparent pixels on white;
    opaque: bool [n 1 h w], False where a pixel is at least partly transparent; skipped: files that are not images or cannot be
    read; unused: number of files that were not read, since enough images were found.
    """

    names: tuple[str, ...]
    images: Tensor
    opaque: Tensor
    skipped: tuple[Skip, ...] = ()
    unused: int = 0


def own_images(path: Path, spec: DataSpec, count: int = 0) -> OwnImages:
    """Return the first `count` images (0: all) of an image file, folder, archive or array file; raises DataError without any."""
    path, shape = expand_home(path), (spec.height, spec.width)
    names, pixels, layers, skipped = list[str](), list[Pixels](), list[Pixels](), list[Skip]()
    files = iter(_files(path, spec))
    for name, read in files:
        try:
            image, alpha = read()
            pixels.append(fit(image, shape, spec.channels, spec.fit))
        except Refused as refusal:
            skipped.append(Skip(name, str(refusal)))
            continue
        names.append(name)
        opacity = np.full_like(image[..., :1], 255) if alpha is None else alpha
        layers.append(fit(opacity, shape, 1, spec.fit, border=255))
        if len(names) == count:
            break
    if not names:
        raise no_images(path, skipped)
    opaque = torch.from_numpy(np.stack(layers) >= _OPAQUE).permute(0, 3, 1, 2)
    return OwnImages(
        tuple(names),
        to_floats(torch.from_numpy(np.stack(pixels))),
        opaque,
        tuple(skipped),
        sum(1 for _ in files),
    )


def _files(path: Path, spec: DataSpec) -> Iterator[tuple[str, Callable[[], _Layers]]]:
    """Yield the name of each image with a function that returns its layers, or raises Refused with the reason."""
    if is_picture(path):
        yield printable(path.name), _File(spec, Folder(path.parent), path.name).layers
    elif not path.exists() or not is_folder(path):
        with reading(path, spec) as found:
            for item in found.items:
                yield item.name, _Read(item).layers
    else:
        with opened(path) as container:
            heads = {entry: partial(container.head, entry.name) for entry in container.entries()}
            entries = {entry: entry.refusal or not_an_image(entry.name, head) for entry, head in heads.items()}
            for entry in sorted(entries, key=lambda entry: not entries[entry]):  # the others first, so that all are reported
                yield printable(entry.name), _File(spec, container, entry.name, entries[entry]).layers


@dataclass(frozen=True)
class _File:
    """An image file in a folder or archive, which is decoded for a specification."""

    spec: DataSpec
    container: Container
    name: str
    refusal: str = ""

    def layers(self) -> _Layers:
        """Decode the file."""
        if self.refusal:
            raise Refused(self.refusal)
        content = self.container.read(self.name)
        return decode(content, max(self.spec.height, self.spec.width), self.spec.levels), opacity(content)


@dataclass(frozen=True)
class _Read:
    """An image that its source has read."""

    item: Item | Skip

    def layers(self) -> _Layers:
        """Return the pixels; arrays store no opacity."""
        if isinstance(self.item, Skip):
            raise Refused(self.item.reason)
        return self.item.pixels, None

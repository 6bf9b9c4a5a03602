"""CIFAR-10 from its official binary archive (Krizhevsky 2009)."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path, PurePosixPath

import numpy as np

from simulacra.core.errors import DataError
from simulacra.core.progress import Progress
from simulacra.data.download import fetch_source
from simulacra.data.formats.archives import Container, opened
from simulacra.data.formats.refused import Refused
from simulacra.data.locations import find_file
from simulacra.data.settings import DataConfig
from simulacra.data.source import Block, Material, Side, array_material, file_key

_ARCHIVE = "cifar-10-binary.tar.gz"
_PLACES = ("cifar-10-batches-bin", _ARCHIVE, "cifar-10-binary.tar")
_RECORD = 1 + 3 * 32 * 32  # one byte of label, then the red, green and blue planes


@dataclass(frozen=True)
class Cifar10:
    """Files of `per_file` records each, in the official archive or unpacked in one folder.

    digests: md5 of the contents by file name; the official site publishes only the md5 of the archive.
    """

    digests: Mapping[str, str]
    mirrors: tuple[str, ...]
    per_file: int = 10_000
    name: str = "cifar10"
    summary: str = "photographs of ten classes of objects"
    size: str = "50,000 + 10,000 images, 32x32 colour, 10 classes"
    classes: tuple[str, ...] = (*("airplane", "automobile", "bird", "cat", "deer"), *("dog", "frog", "horse", "ship", "truck"))

    def place(self) -> str | None:
        """Return the archive or the folder of the unpacked files, or None."""
        found = self._root()
        return str(found) if found else None

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the archive as a material, downloads it into the cache folder if it is not found."""
        if (root := self._root()) is None:
            root = fetch_source(self.name, _ARCHIVE, _ARCHIVE, urls=self.mirrors, verify=self._blocks, progress=progress)
        files = [root] if root.is_file() else sorted(path for file in self.digests if (path := root / file).exists())
        key = "|".join([self.name, *map(file_key, files)])
        return array_material(self.name, key, lambda: self._blocks(root), self.classes)

    def _root(self) -> Path | None:
        loose = find_file(self.name, *self.digests)
        return find_file(self.name, *_PLACES) or (loose.parent if loose else None)

    def _blocks(self, root: Path) -> list[Block]:
        with opened(root) as container:
            stored = {PurePosixPath(entry.name).name: entry.name for entry in container.entries() if not entry.refusal}
            if missing := [file for file in self.digests if file not in stored]:
                raise DataError(f"{root} lacks {', '.join(missing)}: download the binary version of CIFAR-10 again")
            return [self._block(container, file, stored[file], root) for file in self.digests]

    def _block(self, container: Container, file: str, stored: str, root: Path) -> Block:
        try:
            content = container.read(stored)
        except Refused as refusal:
            raise DataError(f"{root}: {file} {refusal}: download the archive again") from refusal
        if len(content) != (expected := self.per_file * _RECORD):
            raise DataError(f"{root}: {file} has {len(content)} bytes, expected {expected}: download the archive again")
        if (digest := md5(content, usedforsecurity=False).hexdigest()) != self.digests[file]:
            advice = "it is damaged; download the archive again"
            raise DataError(f"{root}: {file} has md5 {digest}, expected {self.digests[file]}: {advice}")
        records = np.frombuffer(content, np.uint8).reshape(self.per_file, _RECORD)
        planes = records[:, 1:].reshape(-1, 3, 32, 32)
        side: Side = "test" if file.startswith("test") else "train"
        return Block(side, np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64))


# As several independent public projects pin the files of the archive whose md5 the official site publishes.
SOURCE = Cifar10(
    digests={
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
    mirrors=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)

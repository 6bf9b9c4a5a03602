"""The IDX format of MNIST and similar data sets, and the source that reads four such files."""

import gzip
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from simulacra.core.errors import DataError
from simulacra.core.progress import Progress
from simulacra.data.download import fetch_source
from simulacra.data.locations import find_file, put_where
from simulacra.data.settings import DataConfig
from simulacra.data.source import Block, Material, Pixels, Side, array_material, file_key

_LIMIT = 2**30  # bytes of one decompressed file, several times more than any such data set
SIDES: Mapping[Side, str] = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class IdxSource:
    """Four IDX files, gzipped or plain.

    digests: sha256 of the decompressed contents by file name, independent of compression; mirrors: addresses of folders.
    """

    name: str
    summary: str
    size: str
    classes: tuple[str, ...]
    digests: Mapping[str, str]
    mirrors: tuple[str, ...]

    def place(self) -> str | None:
        """Return the folder that contains all four files, or None."""
        found = self._paths()
        return str(found[next(iter(self.digests))].parent) if len(found) == len(self.digests) else None

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the four files as a material; downloads those that are missing into the cache folder."""
        found = self._paths()
        missing = [file for file in self.digests if file not in found]
        wanted = f"{', '.join(missing)} (plain or .gz)"
        for file in missing:
            urls = [f"{mirror}/{file}.gz" for mirror in self.mirrors]
            verify = partial(self._read, file=file, shown=f"the download of {self.name}")
            fetch_source(self.name, f"{file}.gz", wanted, urls=urls, verify=verify, progress=progress)
        paths = self._paths()
        key = "|".join([self.name, *map(file_key, paths.values())])
        return array_material(self.name, key, lambda: [self._block(side, paths) for side in SIDES], self.classes)

    def _paths(self) -> dict[str, Path]:
        """Return the path of each file that is found."""
        return {file: path for file in self.digests if (path := find_file(self.name, file, f"{file}.gz"))}

    def _read(self, path: Path, file: str, shown: object) -> np.ndarray:
        content = _content(path)
        digest = sha256(content).hexdigest()
        if digest != self.digests[file]:
            seen = f"{file} has sha256 {digest} (decompressed), expected {self.digests[file]}"
            advice = f"delete it, and put the correct file into {put_where(self.name)} or let it be downloaded"
            raise DataError(f"{shown}: {seen}: it is damaged or of another data set; {advice}")
        return parse(content, str(shown))

    def _block(self, side: Side, paths: Mapping[str, Path]) -> Block:
        images, labels = f"{SIDES[side]}-images-idx3-ubyte", f"{SIDES[side]}-labels-idx1-ubyte"
        pixels, numbers = (self._read(paths[file], file, paths[file]) for file in (images, labels))
        if pixels.ndim != 3 or numbers.shape != pixels.shape[:1] or (numbers >= len(self.classes)).any():
            seen = f"images {pixels.shape} and labels {numbers.shape} have different lengths or unknown classes"
            raise DataError(f"{paths[images]}: {seen}")
        return Block(side, pixels[..., None], numbers.astype(np.int64))


def parse(content: bytes, shown: str) -> Pixels:
    """Return the array of an IDX file of unsigned bytes; raises DataError naming `shown` for anything else.

    >>> parse(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), "labels")
    array([7, 9], dtype=uint8)
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{shown} is not an IDX file of unsigned bytes: it begins with {content[:4].hex()}")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    start = 4 + 4 * content[3]
    if len(content) - start != int(np.prod(shape, dtype=object)):
        raise DataError(f"{shown} declares {shape} values but contains {len(content) - start}: it is truncated or damaged")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            compressed = handle.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as handle:
            content = handle.read(_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): delete it and fetch it again") from error
    if len(content) > _LIMIT:
        raise DataError(f"{path} expands to more than {_LIMIT} bytes: a decompression bomb is refused")
    return content

"""Images in NumPy files: a .npy of images, or an .npz with images, labels and test images."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from simulacra.core.errors import DataError
from simulacra.core.progress import Progress
from simulacra.data.formats.archives import budget
from simulacra.data.formats.arrays import to_labels, to_uint8
from simulacra.data.settings import DataConfig
from simulacra.data.source import Block, LocalSource, Material, Side, array_material, file_key
from simulacra.data.sources.folder import stem

_NAMES: Mapping[Side, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("images", "train_images", "x_train", "arr_0"), ("labels", "train_labels", "y_train")),
    "test": (("test_images", "x_test"), ("test_labels", "y_test")),
}


def _find(config: DataConfig, progress: Progress) -> Material:
    """Return the arrays at config.path and config.test_path; raises DataError if there are none."""
    paths = [Path(text).expanduser() for text in (config.path, config.test_path) if text]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is not a file: give a .npy or .npz file of images")
    return array_material(stem(paths[0]), "|".join(["array", *map(file_key, paths)]), lambda: _blocks(paths))


SOURCE = LocalSource("array", "your own images: a .npy or .npz file (--path)", "", "your own", _find)


def _blocks(paths: list[Path]) -> list[Block]:
    first = _arrays(paths[0])
    blocks = [_block(first, "train", "train", paths[0])]
    if len(paths) > 1:
        return [*blocks, _block(_arrays(paths[1]), "test", "train", paths[1])]
    return [*blocks, _block(first, "test", "test", paths[0])] if _pick(first, _NAMES["test"][0]) is not None else blocks


def _block(arrays: Mapping[str, np.ndarray], side: Side, named: Side, path: Path) -> Block:
    """Return the block of one side from the arrays named for the side `named`."""
    images, labels = (_pick(arrays, names) for names in _NAMES[named])
    if images is None:
        held = ", ".join(arrays) or "nothing"
        raise DataError(f"{path} contains {held}, expected an array named {_NAMES[named][0][0]}: rename it")
    pixels = to_uint8(images, str(path))
    return Block(side, pixels, None if labels is None else to_labels(labels, len(pixels), str(path)))


def _pick(arrays: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name; nothing in it is ever unpickled."""
    try:
        if not zipfile.is_zipfile(path):
            return {"images": np.load(path, mmap_mode="r", allow_pickle=False)}
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > budget(path):
                raise DataError(f"{path} would expand to more than {budget(path)} bytes: a decompression bomb is refused")
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is not a readable .npy or .npz file of numbers ({error}): save it with numpy.save") from error

"""Images in NumPy files: a .npy of images, or an .npz with images, labels and test images."""

import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simulacra.core.errors import DataError
from simulacra.core.home import expand_home
from simulacra.core.progress import Progress
from simulacra.data.formats.archives import budget
from simulacra.data.formats.arrays import to_labels, to_uint8
from simulacra.data.formats.colour import Levels
from simulacra.data.settings import DataConfig
from simulacra.data.source import Block, Extremes, Finding, LocalSource, Material, Side, array_material, file_key
from simulacra.data.sources.folder import stem

_NAMES: Mapping[Side, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("images", "train_images", "x_train", "arr_0"), ("labels", "train_labels", "y_train")),
    "test": (("test_images", "x_test"), ("test_labels", "y_test")),
}


Arrays = Mapping[str, Any]
_Part = tuple[Side, Side, Arrays, Path]
"""The side of the images, the side that the arrays are named for, the arrays, and their file."""


def _find(config: DataConfig, progress: Progress) -> Material:
    """Return the arrays at config.path and config.test_path; raises DataError if there are none."""
    paths = [expand_home(text) for text in (config.path, config.test_path) if text]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is not a file: give a .npy or .npz file of images")
    key = "|".join(["array", *map(file_key, paths)])
    material = array_material(stem(paths[0]), key, lambda: _blocks(paths, config.level_range), notes=lambda: _unused(paths))
    return replace(material, extremes=lambda progress: _extremes(paths))


SOURCE = LocalSource("array", "your own images: a .npy or .npz file (--path)", "", "your own", _find)


def _parts(paths: list[Path], read: Callable[[Path], Arrays]) -> list[_Part]:
    """Return the parts of the files, the first of them for training."""
    first = read(paths[0])
    parts: list[_Part] = [("train", "train", first, paths[0])]
    if len(paths) > 1:
        return [*parts, ("test", "train", read(paths[1]), paths[1])]
    return [*parts, ("test", "test", first, paths[0])] if _pick(first, _NAMES["test"][0]) else parts


def _blocks(paths: list[Path], levels: Levels | None) -> list[Block]:
    return [_block(*part, levels) for part in _parts(paths, _arrays)]


def _block(side: Side, named: Side, arrays: Arrays, path: Path, levels: Levels | None) -> Block:
    """Return the block of one side from the arrays named for the side `named`."""
    images, labels = (arrays.get(_pick(arrays, names)) for names in _NAMES[named])
    if images is None:
        held = ", ".join(arrays) or "nothing"
        raise DataError(f"{path} contains {held}, expected an array named {_NAMES[named][0][0]}: rename it")
    pixels = to_uint8(images, str(path), levels=levels)
    return Block(side, pixels, None if labels is None else to_labels(labels, len(pixels), str(path)))


def _pick(arrays: Arrays, names: tuple[str, ...]) -> str:
    """Return the first of the names that an array has, empty without any."""
    return next((name for name in names if name in arrays), "")


def _unused(paths: list[Path]) -> list[Finding]:
    """Return a finding on the arrays of the files that are not used."""
    parts = _parts(paths, _names)
    used = {(path, _pick(arrays, names)) for _, named, arrays, path in parts for names in _NAMES[named]}
    unused = sorted({name for _, _, arrays, path in parts for name in arrays if (path, name) not in used})
    if not unused:
        return []
    known = ", ".join(names[0] for pair in _NAMES.values() for names in pair)
    what = f"{len(unused)} arrays of {paths[0].name} are not used: {', '.join(unused)}"
    return [Finding("unused_arrays", what, f"rename them to one of {known} to use them", "warning", len(unused))]


def _extremes(paths: list[Path]) -> Extremes:
    """Return the lowest and the highest value of the images unless they have 8 bits."""
    found = [arrays.get(_pick(arrays, _NAMES[named][0])) for _, named, arrays, _ in _parts(paths, _arrays)]
    wide = [images for images in found if images is not None and images.dtype.kind in "fiu" and images.dtype != np.uint8]
    return (min(float(one.min()) for one in wide), max(float(one.max()) for one in wide)) if wide else None


def _names(path: Path) -> Arrays:
    """Return the names of the arrays of a file, without the arrays."""
    if not zipfile.is_zipfile(path):
        return {"images": None}
    with zipfile.ZipFile(path) as archive:
        return dict.fromkeys(name.removesuffix(".npy") for name in archive.namelist())


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

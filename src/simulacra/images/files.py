"""Writing images: PNG files, folders of them, arrays; and checking output paths before anything is computed."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from simulacra.core.csv_text import csv_text
from simulacra.core.errors import UsageError
from simulacra.core.files import require_writable, unwritable, write_bytes, write_json, write_text
from simulacra.images.grid import most_in_grid, to_bytes

_IMAGE_FORMATS = (".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".pdf", ".mp4")
_DATA_FORMATS = (".npy", ".pt", ".pth", ".safetensors", ".zip", ".tar", ".gz", ".h5", ".csv", ".json", ".html")
_NAME = 60  # characters of a name in the name of a file, at most
_OTHER_FORMATS = frozenset((*_IMAGE_FORMATS, *_DATA_FORMATS))
"""Suffixes of file formats that are not written. Any other suffix belongs to the name of a folder, such as `v1.5`."""


def check_png(path: Path) -> Path:
    """Return the path of a PNG file to write; raises UsageError where it has another suffix, or is or lies in the wrong thing."""
    return check_form(path, "an image", ".png")


def check_grid(path: Path, count: int, shape: Sequence[int], advice: str = "ask for fewer") -> Path:
    """Return the path of a PNG file to write with `count` images of a shape [c h w]; raises UsageError for too many."""
    if count > (most := most_in_grid(shape)):
        size = "x".join(map(str, shape[1:]))
        raise UsageError(f"{path} is one image, which shows at most {most:,} images of {size}, not {count:,}: {advice}")
    return check_png(path)


def check_html(path: Path) -> Path:
    """Return the path of a page to write; raises UsageError where it does not end in .html, or is or lies in the wrong thing."""
    return check_form(path, "a page", ".html")


def check_images_path(path: Path, count: int, shape: Sequence[int]) -> Path:
    """Return the path of images [count *shape]: a .png file, an .npz file, or a new or empty folder; else raises UsageError."""
    suffix = path.suffix.lower()
    if suffix == ".png":
        return check_grid(path, count, shape, "give an .npz file or a folder")
    if suffix in _OTHER_FORMATS:
        raise UsageError(f"{path} ends in {suffix!r}: give a .png file (one grid), an .npz file (an array) or a folder")
    return check_file(path) if suffix == ".npz" else check_new_folder(path)


def check_new_folder(path: Path, flag: str = "--out") -> Path:
    """Return the path of a folder that does not exist or is empty; raises UsageError, which names the flag, otherwise."""
    if path.is_file():
        raise UsageError(f"{path} exists and is a file: choose another {flag}")
    if path.is_dir() and any(path.iterdir()):
        raise UsageError(f"{path} exists and is not empty: choose another {flag}")
    return require_writable(path)


def check_table(path: Path) -> Path:
    """Return the path of a table to write, a .csv or a .json file; raises UsageError for any other."""
    return check_form(path, "a table", ".csv", ".json")


def check_form(path: Path, what: str, *suffixes: str) -> Path:
    """Return the path of a file to write that ends in one of some suffixes; raises UsageError for any other."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} ends in {path.suffix or 'nothing'!r}: {what} is written as {' or '.join(suffixes)}")
    return check_file(path)


def check_file(path: Path) -> Path:
    """Return the path of a file to write; raises UsageError where it is a folder, or is below a file."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file that ends in {path.suffix}")
    return require_writable(path)


def png_bytes(image: Image.Image) -> bytes:
    """Return an image as the contents of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=False)
    return buffer.getvalue()


def save_png(image: Image.Image, path: Path) -> Path:
    """Write an image as PNG, atomically; makes missing folders. Raises UsageError, Unwritable."""
    check_png(path)
    make_folder(path.parent)
    write_bytes(path, png_bytes(image))
    return path


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], content: Mapping[str, Any]) -> None:
    """Write a table as CSV, or where the path ends in .json as JSON with the given content; makes missing folders."""
    make_folder(path.parent)
    if path.suffix.lower() == ".json":
        write_json(path, content)
    else:
        write_text(path, csv_text(columns, rows))


def numbered(index: int, count: int, name: str) -> str:
    """Return the name, without suffix, of file `index` of `count`: its number, and its name where it has one.

    >>> numbered(7, 100, "digit=3,hue=red"), numbered(7, 8, "")
    ('07_digit=3-hue=red', '7')
    """
    digits = len(str(max(count - 1, 1)))
    plain = "".join(letter if letter.isalnum() or letter in "-=." else "-" for letter in name)
    return f"{index:0{digits}d}{plain and '_'}{plain[:_NAME]}"


def save_image(image: Tensor, path: Path) -> Path:
    """Write one image [c h w] in [0, 1] as a PNG file of its own size; makes missing folders."""
    (pixels,) = to_bytes(image[None])
    return save_png(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), path)


def make_folder(path: Path) -> None:
    """Make a folder and its parents; raises Unwritable."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error

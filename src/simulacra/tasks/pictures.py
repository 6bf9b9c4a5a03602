"""Images as pictures: grids, strips, files."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.files import unwritable, write_bytes

_SMALLEST_SIDE = 56  # a picture whose images are smaller than this is enlarged by a whole factor
GAP = 2  # grey pixels between images


def to_bytes(images: Tensor) -> np.ndarray:
    """Return images [n c h w] in [0, 1] as uint8 [n h w c], rounded."""
    return (images.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def grid(images: Tensor, columns: int) -> Image.Image:
    """Return images [n c h w] in [0, 1] in reading order, with thin grey lines between them; small ones are enlarged."""
    pixels = to_bytes(images)
    if pixels.shape[3] not in (1, 3):
        pixels = pixels.mean(3, keepdims=True).astype(np.uint8)
    count, height, width, channels = pixels.shape
    rows = -(-count // columns)
    factor = enlargement(height, width)
    pixels = pixels.repeat(factor, 1).repeat(factor, 2)
    height, width = height * factor, width * factor
    canvas = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 128, np.uint8)
    for index, image in enumerate(pixels):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = image
    return Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)


def enlargement(height: int, width: int) -> int:
    """Return the whole factor by which a grid enlarges its images, so that small ones can be seen."""
    return max(1, -(-_SMALLEST_SIDE // min(height, width)))


def paired(above: Tensor, below: Tensor, columns: int) -> Tensor:
    """Return two sets of images [n c h w] for a grid of `columns`: rows of the first, each above its counterpart.

    Rows that are too short are filled with white.
    """
    rows = [row for pair in zip(above.split(columns), below.split(columns), strict=True) for row in pair]
    return torch.cat([torch.cat([row, torch.ones(columns - len(row), *row.shape[1:])]) for row in rows])


def png(picture: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=False)
    return buffer.getvalue()


def save(picture: Image.Image, path: Path) -> Path:
    """Write a picture as PNG, atomically; folders are made."""
    _refuse_ending(path, {".png"})
    make_folder(path.parent)
    write_bytes(path, png(picture))
    return path


def save_images(images: Tensor, path: Path, labels: Sequence[int] | None = None) -> Path:
    """Write images [n c h w] in [0, 1] by the ending of `path`: .png a grid, .npz an array, else a folder of PNG files."""
    ending = path.suffix.lower()
    if ending == ".png":
        return save(grid(images, columns=max(1, round(len(images) ** 0.5))), path)
    if ending == ".npz":
        return _save_arrays(images, path, labels)
    _refuse_ending(path, {""})
    make_folder(path)
    digits = len(str(max(len(images) - 1, 1)))
    for index, pixels in enumerate(to_bytes(images)):
        write_bytes(path / f"{index:0{digits}d}.png", png(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)))
    return path


def _refuse_ending(path: Path, allowed: set[str]) -> None:
    if path.suffix.lower() not in allowed:
        raise UsageError(f"{path} ends in {path.suffix or 'nothing'!r}: pictures are written as .png")


def make_folder(path: Path) -> None:
    """Make a folder and its parents; raises SimulacraError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def _save_arrays(images: Tensor, path: Path, labels: Sequence[int] | None) -> Path:
    arrays = {"images": to_bytes(images)}
    if labels is not None:
        arrays["labels"] = np.asarray(labels)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    make_folder(path.parent)
    write_bytes(path, buffer.getvalue())
    return path

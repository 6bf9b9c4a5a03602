"""Images as pictures: grids, strips, files; points of the plane, which are images of two values, as scatter plots."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.files import unwritable, write_bytes
from simulacra.data.synthetic.known_densities import points_of
from simulacra.data.synthetic.toys import SHAPE

_SMALLEST_SIDE = 56  # a picture whose images are smaller than this is enlarged by a whole factor
GAP = 2  # grey pixels between images
_LEVELS = 256
_MANY_IMAGES, _MANY_POINTS = 64, 2000  # that make a picture
_FAINTEST = 0.35  # ink of a lonely point; the most frequent ones are black
_FRAME = 200  # grey level of the line about a scatter plot


def are_points(shape: Sequence[int]) -> bool:
    """Return whether images of this shape [c h w] are points of the plane, of which one says nothing."""
    return tuple(shape) == SHAPE


def enough(shape: Sequence[int]) -> int:
    """Return how many images of a shape [c h w] make a picture of the whole."""
    return _MANY_POINTS if are_points(shape) else _MANY_IMAGES


def picture_of(images: Tensor, columns: int) -> Image.Image:
    """Return images [n c h w] in [0, 1] as a grid of `columns`, or, if they are points, as one scatter plot."""
    return scatter(images) if are_points(images.shape[1:]) else grid(images, columns)


def picture_of_pairs(above: Tensor, below: Tensor, columns: int) -> Image.Image:
    """Return two sets of images [n c h w] in rows, each above its counterpart; of points, one scatter plot above the other."""
    return picture_of_rows((above, below), columns)


def picture_of_rows(sets: Sequence[Tensor], columns: int) -> Image.Image:
    """Return sets of as many images [n c h w] in rows, each image above its counterparts; of points, scatter plots.

    Sets may differ in channels and size: grey images are shown among colours, small ones enlarged to the size of the largest.
    """
    if not all(are_points(images.shape[1:]) for images in sets):
        return grid(stacked(alike(sets), columns), columns)
    plots = [np.asarray(scatter(images)) for images in sets]
    gap = np.full((GAP, plots[0].shape[1]), 255, np.uint8)
    return Image.fromarray(np.concatenate([part for plot in plots for part in (plot, gap)][:-1]))


def row_height(height: int, width: int) -> int:
    """Return the height in pixels of a row of a picture of images: of a grid without the gap, or of a scatter plot."""
    return 2 * _LEVELS if are_points((1, height, width)) else enlargement(height, width) * height


def scatter(images: Tensor) -> Image.Image:
    """Return points [n 1 1 2] in [0, 1] on the square of their 256 x 256 levels, x to the right and y up, two pixels a level.

    Ink grows with the logarithm of how many points a level and its four neighbours hold, so that a lonely one is seen, too.
    """
    points = points_of(images).astype(np.int64)
    held = np.zeros((_LEVELS + 2, _LEVELS + 2))
    for right, up in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        np.add.at(held, (_LEVELS - points[:, 1] + up, points[:, 0] + 1 + right), 1)
    held = held[1:-1, 1:-1]
    ink = np.where(held > 0, _FAINTEST + (1 - _FAINTEST) * np.log1p(held) / max(np.log1p(held.max()), 1), 0)
    pixels = np.rint(255 * (1 - ink)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    pixels[[0, -1]], pixels[:, [0, -1]] = _FRAME, _FRAME
    return Image.fromarray(pixels)


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


def alike(sets: Sequence[Tensor]) -> list[Tensor]:
    """Return sets of images [n c h w] with the channels and the size of the largest among them."""
    channels, height, width = (max(images.shape[axis] for images in sets) for axis in (1, 2, 3))
    return [_as_large(images, channels, (height, width)) for images in sets]


def _as_large(images: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    if images.shape[2:] != size:
        images = F.interpolate(images, size, mode="nearest-exact")
    return images.expand(-1, channels, -1, -1) if images.shape[1] == 1 else images


def stacked(sets: Sequence[Tensor], columns: int) -> Tensor:
    """Return sets of images [n c h w] for a grid of `columns`: rows of the first, each above its counterparts.

    Rows that are too short are filled with white.
    """
    rows = [row for group in zip(*(images.split(columns) for images in sets), strict=True) for row in group]
    return torch.cat([torch.cat([row, row.new_ones(columns - len(row), *row.shape[1:])]) for row in rows])


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
        return save(picture_of(images, columns=max(1, round(len(images) ** 0.5))), path)
    if ending == ".npz":
        return _save_arrays(images, path, labels)
    _refuse_ending(path, {""})
    make_folder(path)
    digits = len(str(max(len(images) - 1, 1)))
    for index, image in enumerate(images):
        save_image(image, path / f"{index:0{digits}d}.png")
    return path


def save_image(image: Tensor, path: Path) -> Path:
    """Write one image [c h w] in [0, 1] as a PNG file of its own size; folders are made."""
    (pixels,) = to_bytes(image[None])
    return save(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), path)


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

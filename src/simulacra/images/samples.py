"""Images written as they are computed: one grid (.png), arrays (.npz), or a folder of PNG files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simulacra.images.arrays import npz_writer
from simulacra.images.files import numbered, save_image, save_png
from simulacra.images.grid import are_points, image_grid, to_bytes

Arrays = Mapping[str, np.ndarray]
Write = Callable[[Tensor, Arrays, Sequence[str]], None]
"""Writes the next images [b c h w] in [0, 1], the rows [b ...] of further arrays of an .npz file, and names for files."""


@contextmanager
def images_writer(path: Path, count: int, columns: int = 0) -> Iterator[Write]:
    """Write `count` images in parts, in order; the suffix of the path decides the form.

    A .png file is one grid of all images, held as bytes until then; columns: of the grid, 0 for as many as rows. An .npz file
    holds the array `images`, uint8 [count h w c], and the further arrays. Anything else is a folder with a PNG file for each
    image: its number and its name, where it has one. Raises UsageError, Unwritable.
    """
    suffix, done = path.suffix.lower(), 0

    def written(images: Tensor) -> int:
        nonlocal done
        done += len(images)
        return done - len(images)

    if suffix == ".npz":
        with npz_writer(path, count) as write:
            yield lambda images, arrays, names: write(written(images), {"images": to_bytes(images), **arrays})
    elif suffix == ".png":
        parts = list[Tensor]()
        yield lambda images, arrays, names: parts.append(_small(images))
        save_png(image_grid(torch.cat(parts), columns or max(1, round(count**0.5))), path)
    else:
        yield lambda images, arrays, names: _write_files(path, count, written(images), images, names)


def _small(images: Tensor) -> Tensor:
    """Return images as uint8 [b c h w]; points, which a scatter plot rounds itself, as they are."""
    return images if are_points(images.shape[1:]) else torch.from_numpy(to_bytes(images)).permute(0, 3, 1, 2)


def _write_files(folder: Path, count: int, start: int, images: Tensor, names: Sequence[str]) -> None:
    for row, image in enumerate(images):
        save_image(image, folder / f"{numbered(start + row, count, names[row] if names else '')}.png")

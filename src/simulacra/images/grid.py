"""Grids of images and scatter plots of points, as Pillow images."""

import sys
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from simulacra.data.synthetic.known_densities import SHAPE, points_of

GAP = 2  # pixels between images
_GREY = 128  # grey level of the gaps
_SMALLEST_SIDE = 56  # pixels; smaller images are enlarged by an integer factor
_LEVELS = 256
_IMAGES, _POINTS = 64, 2000  # number of images in an overview, and of points
_LIGHTEST = 0.35  # ink of a single point; the most frequent points are black
_PIXELS = 89_478_485  # of a grid, at most: from there on, Pillow and what is built on it warn of a decompression bomb
_FRAME = 200  # grey level of the frame of a scatter plot
_CELL, _BOARD = 4, (204, 255)  # pixels and grey levels of the checkerboard behind transparent pixels


def are_points(shape: Sequence[int]) -> bool:
    """Return whether images of this shape [c h w] are points of the plane, which are drawn as a scatter plot."""
    return tuple(shape) == SHAPE


def overview_count(shape: Sequence[int]) -> int:
    """Return the number of images of a shape [c h w] that give an overview of a distribution."""
    return _POINTS if are_points(shape) else _IMAGES


def image_grid(images: Tensor, columns: int) -> Image.Image:
    """Return images [n c h w] in [0, 1] as a grid in reading order, or points as one scatter plot.

    Small images are enlarged by an integer factor; images with an alpha channel are drawn on a checkerboard.
    """
    return scatter_plot(images) if are_points(images.shape[1:]) else _grid(images, columns)


def grid_of_rows(sets: Sequence[Tensor], columns: int) -> Image.Image:
    """Return sets of equally many images [n c h w], each image above its counterparts; of points one scatter plot a set.

    Sets may differ in channels and size: grey images become colour images, small ones are enlarged to the size of the largest.
    """
    if not all(are_points(images.shape[1:]) for images in sets):
        return _grid(_interleave(_same_shape(sets), columns), columns)
    plots = [np.asarray(scatter_plot(images)) for images in sets]
    gap = np.full((GAP, plots[0].shape[1]), 255, np.uint8)
    return Image.fromarray(np.concatenate([part for plot in plots for part in (plot, gap)][:-1]))


def most_in_grid(shape: Sequence[int]) -> int:
    """Return the number of images [c h w] that one grid holds at most; viewers refuse, or warn of, larger images."""
    if are_points(shape):
        return sys.maxsize
    height, width = shape[1:]
    factor = enlargement(height, width)
    return max(1, _PIXELS // ((factor * height + GAP) * (factor * width + GAP)))


def row_height(height: int, width: int) -> int:
    """Return the height in pixels of one row of a grid of images of this size, without the gap, or of a scatter plot."""
    return 2 * _LEVELS if are_points((1, height, width)) else enlargement(height, width) * height


def enlargement(height: int, width: int) -> int:
    """Return the integer factor by which a grid enlarges images of this size."""
    return max(1, -(-_SMALLEST_SIDE // min(height, width)))


def scatter_plot(images: Tensor) -> Image.Image:
    """Return points [n 1 1 2] in [0, 1] on a square of 256 x 256 levels, x to the right and y up, two pixels for each level.

    The ink of a level grows with the logarithm of the number of points on it and on its four neighbours.
    """
    points = points_of(images).astype(np.int64)
    counts = np.zeros((_LEVELS + 2, _LEVELS + 2))
    for right, up in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        np.add.at(counts, (_LEVELS - points[:, 1] + up, points[:, 0] + 1 + right), 1)
    counts = counts[1:-1, 1:-1]
    ink = np.where(counts > 0, _LIGHTEST + (1 - _LIGHTEST) * np.log1p(counts) / max(np.log1p(counts.max()), 1), 0)
    pixels = np.rint(255 * (1 - ink)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    pixels[[0, -1]], pixels[:, [0, -1]] = _FRAME, _FRAME
    return Image.fromarray(pixels)


def to_bytes(images: Tensor) -> np.ndarray:
    """Return images [n c h w] in [0, 1] as uint8 [n h w c], rounded; images that are uint8 already keep their levels."""
    if images.dtype != torch.uint8:
        images = (images.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return images.permute(0, 2, 3, 1).cpu().numpy()


def opaque_bytes(images: Tensor) -> np.ndarray:
    """Return images [n c h w] in [0, 1] as uint8 [n h w c] with one or three channels.

    RGBA is drawn on a checkerboard; any other number of channels becomes their mean.
    """
    return _opaque(to_bytes(images))


def _grid(images: Tensor, columns: int) -> Image.Image:
    pixels = opaque_bytes(images)
    count, height, width, channels = pixels.shape
    rows = -(-count // columns)
    factor = enlargement(height, width)
    pixels = pixels.repeat(factor, 1).repeat(factor, 2)
    height, width = height * factor, width * factor
    canvas = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), _GREY, np.uint8)
    for index, image in enumerate(pixels):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = image
    return Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)


def _opaque(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 [n h w c] with one or three channels: RGBA on a checkerboard, any other number as the mean of channels."""
    _, height, width, channels = pixels.shape
    if channels in (1, 3):
        return pixels
    if channels != 4:
        return pixels.mean(3, keepdims=True).astype(np.uint8)
    rows, columns = np.indices((height, width)) // _CELL
    board = np.where((rows + columns) % 2, *_BOARD)[None, :, :, None]
    alpha = pixels[..., 3:] / 255
    return np.rint(alpha * pixels[..., :3] + (1 - alpha) * board).astype(np.uint8)


def _same_shape(sets: Sequence[Tensor]) -> list[Tensor]:
    """Return sets of images [n c h w] with the channels and the size of the largest of them."""
    channels, *size = (max(images.shape[axis] for images in sets) for axis in (1, 2, 3))
    enlarged = [F.interpolate(images, size, mode="nearest-exact") for images in sets]
    return [images.expand(-1, channels, -1, -1) if images.shape[1] == 1 else images for images in enlarged]


def _interleave(sets: Sequence[Tensor], columns: int) -> Tensor:
    """Return sets of images [n c h w] in the order of a grid: a row of the first set, the same row of the second, and so on.

    Incomplete rows are filled with white.
    """
    rows = [row for group in zip(*(images.split(columns) for images in sets), strict=True) for row in group]
    return torch.cat([torch.cat([row, row.new_ones(columns - len(row), *row.shape[1:])]) for row in rows])

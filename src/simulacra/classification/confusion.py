"""Confusion matrices: counts, and their image."""

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

_MARGIN = 64  # pixels for the names of the classes
_LARGEST, _LEAST_CELL, _CELL = 800, 8, 40  # pixels: of the matrix, of a cell
_TEXT_CELL = 32  # pixels of a cell that has room for its count
_LETTERS = 9  # of a name


def confusion_matrix(truth: Tensor, predicted: Tensor, count: int) -> Tensor:
    """Return the number of images by true class (row) and predicted class (column): int64 [count count]."""
    return torch.bincount(truth * count + predicted, minlength=count**2).view(count, count)


def confusion_image(counts: Tensor, names: tuple[str, ...]) -> Image.Image:
    """Return a confusion matrix as an image: rows are true classes, columns predicted ones.

    A cell is the darker the larger its share of its row; errors are red, correct predictions blue.
    """
    size = len(counts)
    cell = max(_LEAST_CELL, min(_CELL, _LARGEST // size))
    shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).sqrt().numpy()  # the root makes rare errors visible
    ink = np.where(np.eye(size, dtype=bool)[..., None], (160, 110, 30), (30, 140, 160)) * shares[..., None]
    pixels = np.rint(255 - ink).astype(np.uint8).repeat(cell, 0).repeat(cell, 1)
    canvas = Image.new("RGB", (_MARGIN + size * cell, _MARGIN + size * cell), "white")
    canvas.paste(Image.fromarray(pixels), (_MARGIN, _MARGIN))
    draw = ImageDraw.Draw(canvas)
    if cell < _TEXT_CELL:
        return canvas
    draw.text((4, 4), "predicted:\ncolumns;\ntrue: rows", "black")
    for at, name in enumerate(names):
        middle = _MARGIN + at * cell + cell // 2
        draw.text((middle, _MARGIN - 4), name[: max(1, cell // 7)], "black", anchor="ms")
        draw.text((_MARGIN - 4, middle), name[:_LETTERS], "black", anchor="rm")
        for other in range(size):
            if number := int(counts[at, other]):
                draw.text((_MARGIN + other * cell + cell // 2, middle), str(number), "black", anchor="mm")
    return canvas

"""A sprite sheet: small copies of many images in one image, of bounded size."""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from simulacra.images.grid import to_bytes

_PIXELS = 2**22  # of the sheet, at most
_SIDE = 64  # pixels of a small copy, at most
_DISPLAYED = 112  # pixels of its longer side on the screen, about


@dataclass(frozen=True)
class SpriteSheet:
    """image: cells of width x height pixels in reading order, without gaps; enlargement: of a cell on the screen."""

    image: Image.Image
    columns: int
    width: int
    height: int

    @property
    def enlargement(self) -> int:
        """The integer factor by which a cell is displayed."""
        return max(1, round(_DISPLAYED / max(self.width, self.height)))


def sprite_sheet(images: Tensor) -> SpriteSheet:
    """Return the sheet of images [n c h w] in [0, 1]; images are shrunk where the sheet would exceed 4 million pixels."""
    count, channels, *size = images.shape
    side = max(1, min(_SIDE, int((_PIXELS / count) ** 0.5)))
    height, width = (max(1, round(edge * min(1.0, side / max(size)))) for edge in size)
    if (height, width) != tuple(size):
        images = F.interpolate(images.float(), (height, width), mode="area")
    pixels = to_bytes(images if channels in (1, 3, 4) else images.mean(1, keepdim=True))
    columns = int(np.ceil(count**0.5))
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, pixels.shape[3]), np.uint8)
    sheet[:count] = pixels
    cells = sheet.reshape(rows, columns, height, width, -1).swapaxes(1, 2).reshape(rows * height, columns * width, -1)
    return SpriteSheet(Image.fromarray(cells[:, :, 0] if cells.shape[2] == 1 else cells), columns, width, height)

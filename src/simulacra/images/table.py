"""Tables of images with labels on the columns, and maps of numbers as colours."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from simulacra.images.grid import GAP, enlargement, opaque_bytes

_HEADER = 16  # pixels of height of the labels
_COLOURS = torch.tensor(  # black, violet, red, orange, light yellow: luminance increases
    [(0.0, 0.0, 0.0), (0.30, 0.07, 0.48), (0.75, 0.22, 0.35), (0.97, 0.58, 0.25), (1.0, 1.0, 0.75)]
)
_FONT = 10  # points
_BAR, _MARGIN = 12, 6  # pixels: height of a colour scale, and space around it


def colour_map(values: Tensor, most: float) -> Tensor:
    """Return maps float [n h w] as colours float [n 3 h w] in [0, 1]: black at 0, light yellow at `most` and above."""
    place = (values.float() / most).clamp(0, 1) * (len(_COLOURS) - 1)
    low = place.floor().long().clamp(max=len(_COLOURS) - 2)
    share = (place - low)[..., None]
    return ((1 - share) * _COLOURS[low] + share * _COLOURS[low + 1]).movedim(-1, 1)


def image_table(columns: Sequence[tuple[str, Tensor]], scale: tuple[str, float] | None = None) -> Image.Image:
    """Return labelled columns of images [n c h w] in [0, 1], equally many in each; row k holds the images k.

    Grey images become colour images where a column has colours, and small ones are enlarged by an integer factor. scale: the
    label and the largest value of a scale of `colour_map`, drawn below.
    """
    channels = 3 if any(opaque_bytes(images).shape[3] == 3 for _, images in columns) else 1
    factor = enlargement(*columns[0][1].shape[2:])
    panels = [_panel(label, images, channels, factor) for label, images in columns]
    gap = np.full((panels[0].shape[0], GAP, channels), 255, np.uint8)
    canvas = np.concatenate([part for panel in panels for part in (panel, gap)][:-1], 1)
    if scale:
        canvas = np.concatenate([canvas, _scale(*scale, canvas.shape[1], channels)])
    canvas = np.pad(canvas, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), constant_values=255)
    return Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)


def _panel(label: str, images: Tensor, channels: int, factor: int) -> np.ndarray:
    """Return a label above a column of images: uint8 [h w channels]."""
    pixels = opaque_bytes(images).repeat(factor, 1).repeat(factor, 2)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:3], channels))
    gap = np.full((GAP, *pixels.shape[2:]), 255, np.uint8)
    column = np.concatenate([part for image in pixels for part in (image, gap)][:-1])
    width = max(column.shape[1], _width(label))
    column = np.pad(column, ((0, 0), (0, width - column.shape[1]), (0, 0)), constant_values=255)
    return np.concatenate([_text(label, width, _HEADER, channels), column])


def _scale(label: str, most: float, width: int, channels: int) -> np.ndarray:
    """Return a colour scale from 0 to `most` with its label: uint8 [h width channels]."""
    length = min(width, 256)
    ramp = colour_map(torch.linspace(0, most, length).expand(1, _BAR, length), most)
    bar = np.full((_BAR, width, channels), 255, np.uint8)
    bar[:, :length] = opaque_bytes(ramp)[0]
    space = np.full((_MARGIN, width, channels), 255, np.uint8)
    ends = f"{label}: from 0 to {most:g}"
    return np.concatenate([space, _text(ends, width, _HEADER, channels), bar])


def _text(text: str, width: int, height: int, channels: int) -> np.ndarray:
    strip = Image.new("L", (width, height), 255)
    ImageDraw.Draw(strip).text((0, 2), text, 0, font=ImageFont.load_default(_FONT))
    return np.repeat(np.asarray(strip)[:, :, None], channels, 2)


def _width(text: str) -> int:
    return int(ImageFont.load_default(_FONT).getlength(text)) + 2

"""Fitting of images to one shape: resized and cropped, padded or squashed, and converted between grey and colour."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from simulacra.core.fit import Fit
from simulacra.data.formats.refused import Refused
from simulacra.data.source import Item, Pixels, Skip

GAP = 3  # factor of reduction from which two steps give nearly the same result as one (Pillow, Image.resize)


def fit(pixels: Pixels, shape: tuple[int, int] | None, channels: int, how: Fit = "crop", *, border: int = 0) -> Pixels:
    """Return the image [h w c] fitted to `shape` (height, width), with `channels` channels; None and 0 leave it unchanged.

    how: "crop" and "pad" keep the aspect ratio and the centre; border: the value of the pixels that "pad" adds. Raises Refused if
    the channels cannot be converted.
    """
    held = pixels.shape[2]
    if held == 3 and channels == 1:
        from PIL import Image

        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))[:, :, None]
    elif held == 1 and channels > 1:
        pixels = np.repeat(pixels, channels, axis=2)
    elif channels not in (0, held):
        raise Refused(f"{held} channels cannot become {channels}")
    if shape is None or pixels.shape[:2] == shape:
        return pixels
    resize = {"crop": _crop, "pad": _pad(border), "squash": _resize}[how]
    if pixels.shape[2] in (1, 3):
        return resize(pixels, shape)
    return np.concatenate([resize(plane, shape) for plane in np.split(pixels, pixels.shape[2], axis=2)], axis=2)


def fitted(item: Item | Skip, shape: tuple[int, int] | None, channels: int, how: Fit = "crop") -> Item:
    """Return an item with its pixels in a shape, as `fit`; raises Refused if they cannot be read or converted."""
    if isinstance(item, Skip):
        raise Refused(item.reason)
    return replace(item, pixels=fit(item.pixels, shape, channels, how))


def _crop(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(height / shape[0], width / shape[1])
    # Rounding must not move the box out of the image.
    kept_height, kept_width = min(shape[0] * scale, height), min(shape[1] * scale, width)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return _resize(pixels, shape, (left, top, min(left + kept_width, width), min(top + kept_height, height)))


def _pad(border: int) -> Callable[[Pixels, tuple[int, int]], Pixels]:
    def padded(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
        height, width = pixels.shape[:2]
        scale = max(height / shape[0], width / shape[1])
        inner = tuple(min(max(round(side / scale), 1), most) for side, most in zip((height, width), shape, strict=True))
        top, left = ((most - side) // 2 for side, most in zip(inner, shape, strict=True))
        whole = np.full((*shape, pixels.shape[2]), border, dtype=np.uint8)
        whole[top : top + inner[0], left : left + inner[1]] = _resize(pixels, (inner[0], inner[1]))
        return whole

    return padded


def _resize(pixels: Pixels, shape: tuple[int, int], box: tuple[float, float, float, float] | None = None) -> Pixels:
    """Return the part of an image in a box (left, top, right, bottom), by default all of it, in another shape (Lanczos)."""
    from PIL import Image

    flat = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    resized = Image.fromarray(flat).resize((shape[1], shape[0]), Image.Resampling.LANCZOS, box=box, reducing_gap=GAP)
    return np.asarray(resized).reshape(*shape, -1)

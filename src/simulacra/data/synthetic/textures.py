"""Procedural textures without and with defects, whose masks are known exactly: data for the localisation of anomalies.

Three textures of 64x64 grey pixels: `weave`, the plain weave of bright vertical and dark horizontal threads; `tiles`, bricks
with dark joints; `grain`, Gaussian noise with an oriented band-pass spectrum. Position, brightness, contrast and pixel noise
vary from image to image. A defect changes a region of a normal image: `scratch`, `spot`, `missing thread` (a band of uniform
grey) and `wrong direction` (the transposed texture). All values are a function of a seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulacra.core.randomness import derive
from simulacra.data.source import Pixels

SIDE = 64
_NOISE = 0.02  # standard deviation of the noise of pixels in [0, 1]
_THREAD = 8  # pixels, the width of a thread
_TILE = (8, 16)  # pixels, height and width of a tile with its joint
_CHUNK = 256  # images that are generated together

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Defects:
    """Defective images uint8 [n h w 1], the same without the defect, masks bool [n h w], texture and kind numbers int64 [n]."""

    images: Pixels
    normal: Pixels
    masks: NDArray[np.bool_]
    textures: NDArray[np.int64]
    kinds: NDArray[np.int64]


def normal_images(count: int, purpose: str) -> tuple[Pixels, NDArray[np.int64]]:
    """Return images uint8 [n h w 1] without defects and the numbers int64 [n] of their textures, which take turns."""
    return _quantized(_textures(count, purpose)), _turns(count, len(TEXTURES))


def defective_images(count: int, purpose: str) -> Defects:
    """Return images with one defect each; textures take turns, and with each texture the kinds of defects."""
    normal = _textures(count, purpose)
    textures, kinds = _turns(count, len(TEXTURES)), _turns(count, len(TEXTURES) * len(DEFECTS)) // len(TEXTURES)
    images, masks = normal.copy(), np.zeros((count, SIDE, SIDE), dtype=bool)
    draws = [DEFECTS[name] for name in DEFECTS]
    for at in range(count):
        rng = np.random.default_rng(derive(0, "textures", purpose, "defect", at))
        masks[at], changed = draws[kinds[at]](normal[at], rng)
        images[at] = np.where(masks[at], changed, normal[at])
    return Defects(_quantized(images), _quantized(normal), masks, textures, kinds)


def _turns(count: int, size: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) % size


def _quantized(images: Floats) -> Pixels:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)[..., None]


def _textures(count: int, purpose: str) -> Floats:
    """Return normal images in [0, 1] approximately: [n h w]; image i is a function of its chunk of images alone."""
    images = np.empty((count, SIDE, SIDE))
    for number, draw in enumerate(TEXTURES.values()):
        for start in range(number, count, _CHUNK * len(TEXTURES)):
            rng = np.random.default_rng(derive(0, "textures", purpose, number, start))
            drawn = draw(rng, _CHUNK) + _NOISE * rng.standard_normal((_CHUNK, SIDE, SIDE))
            rows = range(start, min(count, start + _CHUNK * len(TEXTURES)), len(TEXTURES))
            images[rows.start : rows.stop : rows.step] = drawn[: len(rows)]
    return images


# --- textures: from a generator and a count to images [n h w]


def _places(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Return the row and column numbers [n h w] of pixels, shifted by a random whole number for each image."""
    shifts = rng.integers(0, SIDE, (2, count, 1, 1))
    rows, columns = np.indices((SIDE, SIDE))
    return rows + shifts[0].astype(float), columns + shifts[1].astype(float)


def _contrast(rng: np.random.Generator, count: int) -> Floats:
    return rng.uniform(0.85, 1.15, (count, 1, 1))


def _weave(rng: np.random.Generator, count: int) -> Floats:
    rows, columns = _places(rng, count)
    vertical = 0.70 + 0.18 * np.abs(np.sin(np.pi * columns / _THREAD))
    horizontal = 0.28 + 0.18 * np.abs(np.sin(np.pi * rows / _THREAD))
    over = (rows // _THREAD + columns // _THREAD) % 2 == 0
    return 0.5 + _contrast(rng, count) * (np.where(over, vertical, horizontal) - 0.5)


def _tiles(rng: np.random.Generator, count: int) -> Floats:
    rows, columns = _places(rng, count)
    course = rows // _TILE[0]
    columns = columns + (course % 2) * _TILE[1] / 2  # every second row of tiles is shifted by half a tile
    joints = (rows % _TILE[0] < 1) | (columns % _TILE[1] < 1)
    shades = rng.uniform(-0.05, 0.05, (count, 4 * SIDE // _TILE[0], 4 * SIDE // _TILE[1]))
    tiles = shades[np.arange(count)[:, None, None], course.astype(int), (columns // _TILE[1]).astype(int)]
    return 0.5 + _contrast(rng, count) * (np.where(joints, 0.25, 0.62 + tiles) - 0.5)


def _grain(rng: np.random.Generator, count: int) -> Floats:
    down, right = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    spectrum = np.exp(-((right - 0.12) ** 2) / (2 * 0.03**2) - down**2 / (2 * 0.02**2))
    waves = np.fft.irfft2(spectrum * np.fft.rfft2(rng.standard_normal((count, SIDE, SIDE))), s=(SIDE, SIDE))
    return 0.5 + 0.16 * _contrast(rng, count) * waves / np.sqrt((waves**2).mean())


TEXTURES: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {"weave": _weave, "tiles": _tiles, "grain": _grain}
"""The textures by name."""


# --- defects: from a normal image [h w] and a generator to a mask [h w] and the image that replaces it there

_Change = tuple[NDArray[np.bool_], Floats]


def _shift(rng: np.random.Generator, least: float, most: float) -> float:
    return float(rng.uniform(least, most) * rng.choice((-1, 1)))


def _scratch(image: Floats, rng: np.random.Generator) -> _Change:
    rows, columns = np.indices(image.shape)
    angle, length, width = rng.uniform(0, np.pi), rng.uniform(16, 36), rng.uniform(1.2, 2.2)
    middle = rng.uniform(12, SIDE - 12, 2)
    along = (rows - middle[0]) * np.sin(angle) + (columns - middle[1]) * np.cos(angle)
    across = (rows - middle[0]) * np.cos(angle) - (columns - middle[1]) * np.sin(angle)
    return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2), image + _shift(rng, 0.25, 0.5)


def _spot(image: Floats, rng: np.random.Generator) -> _Change:
    rows, columns = np.indices(image.shape)
    middle, radii = rng.uniform(8, SIDE - 8, 2), rng.uniform(2.5, 6, 2)
    distance = ((rows - middle[0]) / radii[0]) ** 2 + ((columns - middle[1]) / radii[1]) ** 2
    return distance <= 1, image + _shift(rng, 0.15, 0.35)


def _missing_thread(image: Floats, rng: np.random.Generator) -> _Change:
    mask = np.zeros(image.shape, dtype=bool)
    width = int(rng.integers(4, _THREAD + 1))
    start = int(rng.integers(0, SIDE - width))
    mask[start : start + width] = True
    if rng.random() < 0.5:
        mask = mask.T
    return mask, np.full_like(image, image.mean()) + _NOISE * rng.standard_normal(image.shape)


def _wrong_direction(image: Floats, rng: np.random.Generator) -> _Change:
    rows, columns = np.indices(image.shape)
    middle, radius = rng.uniform(12, SIDE - 12, 2), rng.uniform(8, 12)
    return np.hypot(rows - middle[0], columns - middle[1]) <= radius, image.T


DEFECTS: Mapping[str, Callable[[Floats, np.random.Generator], _Change]] = {
    "scratch": _scratch,
    "spot": _spot,
    "missing thread": _missing_thread,
    "wrong direction": _wrong_direction,
}
"""The kinds of defects by name."""

"""Restorations as files: a labelled table (.png), arrays (.npz), or a folder for each image."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.images.arrays import npz_writer
from simulacra.images.files import check_images_path, numbered, save_image, save_png
from simulacra.images.table import colour_map, image_table
from simulacra.runs.image_to_image.restoration import Restoration, joined

MOST_DEVIATION = 0.5
"""Upper end of the colour scale of standard deviations: the largest possible one of values in [0, 1]."""

_SHOWN = 8  # draws in a table, at most
_ROWS = 64  # images in a table, at most
_MISSING = 0.5  # grey level of missing pixels

Write = Callable[[int, Restoration], None]
"""Writes the restorations of the images from a number on."""


def check_restorations_path(path: Path, count: int, shape: Sequence[int]) -> Path:
    """Return the path that `restorations_writer` writes `count` images to; raises UsageError where it cannot be written."""
    if path.suffix.lower() == ".png" and count > _ROWS:
        raise UsageError(f"{path} is one image, which shows at most {_ROWS} images of {count:,}: give an .npz file or a folder")
    return check_images_path(path, count, shape)


def restoration_table(restored: Restoration, shown: int = _SHOWN) -> Image.Image:
    """Return a table with one row for each image: original, degraded image, mean, deviation, and the first `shown` draws."""
    columns = [] if restored.truth is None else [("original", restored.truth)]
    most = _scale_of(restored.deviation)
    columns += [("degraded", degraded_on_grey(restored)), ("mean", restored.mean), ("deviation", deviation_map(restored, most))]
    columns += [(f"draw {index + 1}", restored.draws[:, index]) for index in range(min(shown, restored.draws.shape[1]))]
    return image_table(columns, ("standard deviation of the draws", most))


def _scale_of(deviation: Tensor) -> float:
    """Return the end of the colour scale of a table: the least of 0.5, 0.2, 0.1, 0.05, ... that no pixel exceeds.

    >>> _scale_of(torch.tensor([[[[0.13]]]])), _scale_of(torch.zeros(1, 1, 1, 1))
    (0.2, 0.001)
    """
    largest = float(deviation.mean(1).max())
    ends = (step * 10.0**power for power in (-3, -2, -1) for step in (1, 2, 5))
    return next((round(end, 3) for end in ends if end >= largest), MOST_DEVIATION)


def deviation_map(restored: Restoration, most: float = MOST_DEVIATION) -> Tensor:
    """Return the standard deviation of each pixel, mean over channels, as colours of 0 to `most`: float [n 3 h w] in [0, 1]."""
    return colour_map(restored.deviation.mean(1), most)


def degraded_on_grey(restored: Restoration) -> Tensor:
    """Return the degraded images [n c h w] with grey in the place of missing pixels."""
    image, hidden = restored.degraded, ~restored.known
    empty = ((image == 0) | ~hidden).flatten(1).all(1)[:, None, None, None]  # other degradations leave something everywhere
    return torch.where(hidden & empty, torch.full_like(image, _MISSING), image)


@contextmanager
def restorations_writer(path: Path, names: Sequence[str], **facts: float | bool) -> Iterator[Write]:
    """Write restorations in parts, in the order of the images; the suffix of the path decides the form.

    names: one for each image, of its folder; facts: numbers that an .npz file holds too. Raises UsageError, Unwritable.
    """
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with npz_writer(path, len(names), **facts) as write:
            yield lambda start, restored: write(start, _arrays(restored))
    elif suffix == ".png":
        parts = list[Restoration]()
        yield lambda start, restored: parts.append(_cut(restored))
        save_png(restoration_table(joined(parts)), path)
    else:
        yield lambda start, restored: _write_folders(path, names, start, restored)


def _arrays(restored: Restoration) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file, channels last."""
    truth = {} if restored.truth is None else {"truth": restored.truth}
    images = {**truth, "degraded": restored.degraded, "mean": restored.mean, "deviation": restored.deviation}
    images |= {"draws": restored.draws, "lower": restored.lower, "upper": restored.upper}
    return {name: values.movedim(-3, -1).float().numpy() for name, values in images.items()} | {
        "known": restored.known[:, 0].numpy()
    }


def _write_folders(path: Path, names: Sequence[str], start: int, restored: Restoration) -> None:
    """Write the images of each restoration into a folder of its own, named after its number and the original."""
    deviations, degraded = deviation_map(restored), degraded_on_grey(restored)
    places = len(str(restored.draws.shape[1]))
    for row in range(len(restored.mean)):
        folder = path / numbered(start + row, len(names), Path(names[start + row]).stem)
        images = {} if restored.truth is None else {"original": restored.truth[row]}
        images |= {"degraded": degraded[row], "mean": restored.mean[row], "deviation": deviations[row]}
        images |= {"lower": restored.lower[row], "upper": restored.upper[row]}
        images |= {f"draw_{index + 1:0{places}d}": image for index, image in enumerate(restored.draws[row])}
        for name, image in images.items():
            save_image(image, folder / f"{name}.png")


def _cut(restored: Restoration) -> Restoration:
    """Return restorations with the draws that a table shows, so that the others can be freed."""
    return replace(restored, draws=restored.draws[:, :_SHOWN].clone())

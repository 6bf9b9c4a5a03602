"""Draw the pictures of the documentation that no command of simulacra writes: of data, of processes, and pictures side by side.

    python benchmarks/pictures.py toys|transforms|hues|degradations --out PICTURE.png
    python benchmarks/pictures.py processes RUN --out PICTURE.png
    python benchmarks/pictures.py classes RUN --rows 6 --real 0 --out PICTURE.png
    python benchmarks/pictures.py beside A.png B.png --out PICTURE.png

Test images are the first of the test set. `processes` draws the forward process of a diffusion model on three test images, and
its reverse process of six generated ones; `classes` draws rows of generated images, one class in each column, above rows of test
images.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))

import simulacra
from simulacra.core.capabilities import SamplesIteratively, require
from simulacra.core.randomness import Streams, noise
from simulacra.data.dataset import to_floats
from simulacra.degradations import parse
from simulacra.images.grid import image_grid

_GAP = 16  # white pixels between pictures side by side
_DEGRADATIONS = (
    *("quadrants:1", "quadrants:2", "quadrants:3", "left", "bottom", "centre", "box:0.4:random", "random-mask:0.8"),
    *(
        "columns:0.3",
        "rows:0.3",
        "blur:1.5",
        "downscale:2",
        "downscale:4",
        "noise:0.3",
        "fourier-columns:0.25",
        "fourier-rows:0.25",
    ),
    *("blur:1+noise:0.1", "downscale:2+random-mask:0.5"),
)
_TITLES = 175  # pixels of the height of the titles
_STATES = 10  # images of a process


def test_images(data: str, count: int) -> Tensor:
    return simulacra.load_data(data, quiet=True).test.head(count).images


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures side by side, aligned at their upper edges."""
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) - 1)
    result = Image.new(mode, (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        result.paste(picture.convert(mode), (left, 0))
        left += picture.width + _GAP
    return result


def toys() -> Image.Image:
    return beside([image_grid(test_images(name, 2000), 1) for name in ("ring", "grid", "moons")])


def transforms() -> Image.Image:
    """Return ten test images of MNIST in the first row, and transformed in the others."""
    rows = [test_images(f"mnist{suffix}", 10) for suffix in ("", "-inverted", "-coloured", "-thick", "-edges")]
    return image_grid(torch.cat([row.expand(-1, 3, -1, -1) for row in rows]), 10)


def hues() -> Image.Image:
    """Return the first test image of each digit (columns) and hue (rows)."""
    test = simulacra.load_data("mnist-hues", quiet=True).test
    labels = test.labels
    assert labels is not None
    digits, shades = (int(labels[:, attribute].max()) + 1 for attribute in range(2))
    first = [np.flatnonzero((labels == (digit, shade)).all(1))[0] for shade in range(shades) for digit in range(digits)]
    return image_grid(to_floats(torch.from_numpy(test.images[first])), digits)


def degradations() -> Image.Image:
    """Return four images of MNIST above four of CIFAR-10, the original and one degradation in each column."""
    grids = [image_grid(_columns(test_images(data, 4)), len(_DEGRADATIONS) + 1) for data in ("mnist", "cifar10-jpeg")]
    parts = [_titles(("original", *_DEGRADATIONS), grids[0].width), *grids]
    result = Image.new("RGB", (grids[0].width, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        result.paste(part.convert("RGB").resize((grids[0].width, part.height)), (0, top))
        top += part.height
    return result


def _columns(images: Tensor) -> Tensor:
    """Return the images of a grid whose first column is the images, and each other one a degradation of them."""
    degraded = (parse(name).apply(images, Streams(images).draw).image for name in _DEGRADATIONS)
    return torch.stack([images, *degraded], 1).flatten(0, 1)


def _titles(names: Sequence[str], width: int) -> Image.Image:
    """Return the titles of columns, upright."""
    strip = Image.new("RGB", (_TITLES, width), "white")
    for number, name in enumerate(names):
        middle = (number + 0.5) * width / len(names)
        text = name.replace("fourier-", "f-").replace("random", "r").replace("+", " + ")
        ImageDraw.Draw(strip).text((4, middle), text, "black", ImageFont.load_default(13), anchor="lm")
    return strip.rotate(90, expand=True)


def processes(run: Path) -> Image.Image:
    """Return the forward process of three test images above the reverse process of six generated ones."""
    model = simulacra.open(run, quiet=True)
    module = require(model.module, SamplesIteratively, "drawing processes")
    images = model.dataset.test.head(3).images
    forward = module.forward_process(images, noise(0, 0, 3, module.noise_shape), _STATES)
    reverse = module.reverse_process(noise(0, 3, 6, module.noise_shape), _STATES)
    return image_grid(torch.cat([states.transpose(0, 1).flatten(0, 1) for states in (forward, reverse)]), _STATES)


def classes(run: Path, rows: int, real: int) -> Image.Image:
    """Return rows of generated images, one class in each column, above rows of test images."""
    model = simulacra.open(run, quiet=True)
    drawn = model.sample_classes(rows).transpose(0, 1)  # [rows classes c h w]
    labels = model.dataset.test.class_labels
    assert labels is not None
    places = [np.flatnonzero(labels == label)[:real] for label in range(drawn.shape[1])]
    test = to_floats(torch.from_numpy(model.dataset.test.images[np.stack(places, 1).reshape(-1)]))
    return image_grid(torch.cat([drawn.flatten(0, 1), test.cpu()]), drawn.shape[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*_OF_DATA, "processes", "classes", "beside"])
    parser.add_argument("paths", nargs="*", type=Path, help="the run, or the pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--real", type=int, default=0)
    given = parser.parse_args()
    if given.what in _OF_DATA:
        picture = _OF_DATA[given.what]()
    elif given.what == "beside":
        picture = beside([Image.open(path) for path in given.paths])
    elif given.what == "processes":
        picture = processes(given.paths[0])
    else:
        picture = classes(given.paths[0], given.rows, given.real)
    picture.save(given.out, optimize=True)


_OF_DATA = {"toys": toys, "transforms": transforms, "hues": hues, "degradations": degradations}

if __name__ == "__main__":
    main()

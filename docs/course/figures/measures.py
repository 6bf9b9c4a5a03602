"""Measures of the figures: Fréchet distance and classifier confidence in the toolkit's feature extractor, and sharpness."""

from functools import cache
from pathlib import Path

import torch
from chart import PICTURES
from PIL import Image
from torch import Tensor

import simulacra
from simulacra.features.extractor import Extractor
from simulacra.features.loading import load_extractor
from simulacra.metrics.statistics.frechet import frechet_distance
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.metrics.statistics.moments import BlockedMoments, blocked_moments


class _Silent:
    def advance(self, amount: int = 1) -> None:
        """Accept a report of progress."""


@cache
def data(name: str) -> simulacra.Dataset:
    """Return a data set by name."""
    return simulacra.load_data(name, quiet=True)


@cache
def extractor(name: str) -> Extractor:
    """Return the small classifier that `simulacra evaluate` trains on a data set; it is trained if it is not cached."""
    return load_extractor("lenet", data(name))


@cache
def _reference(name: str) -> BlockedMoments:
    return blocked_moments(features(held_out(name), name))


def held_out(name: str, count: int = 10_000) -> Tensor:
    """Return the first test images of a data set, float [n c h w] in [0, 1]."""
    return data(name).test.head(count).images


def features(images: Tensor, name: str) -> Tensor:
    """Return features float [n 128] of images, rounded to 256 levels, by the classifier of a data set."""
    levels = (images.clamp(0, 1) * 255).round() / 255
    return torch.cat([extractor(name).features(part) for part in levels.split(500)])


def frechet(images: Tensor, name: str) -> Measurement:
    """Return the Fréchet distance of images to all test images of a data set, with its standard error."""
    return frechet_distance(blocked_moments(features(images, name)), _reference(name), _Silent())


def confidence(images: Tensor, name: str) -> Tensor:
    """Return the largest class probability [n] that the classifier of a data set gives to each image."""
    logits = torch.cat([extractor(name).logits(part) for part in images.clamp(0, 1).split(500)])
    return logits.softmax(1).max(1).values


def sharpness(images: Tensor) -> Tensor:
    """Return the gradient energy [n]: the sum of squared differences of neighbouring pixels, horizontal and vertical."""
    across, down = images.diff(dim=3).square(), images.diff(dim=2).square()
    return across.flatten(1).sum(1) + down.flatten(1).sum(1)


def standard_error(values: Tensor) -> float:
    """Return the standard error of the mean of values [n]."""
    return values.std().item() / len(values) ** 0.5


def save_grid(name: str, rows: list[Tensor]) -> None:
    """Write images as a PNG file of the pictures folder, one row for each set of images [n c h w]."""
    picture: Image.Image = simulacra.image_grid(torch.cat(rows), columns=len(rows[0]))
    target = Path(PICTURES, f"{name}.png")
    picture.save(target)
    print(f"wrote {target.relative_to(PICTURES.parents[1])}")

"""How well images become images of another domain: nearness to the known answer, classes that survive, and the way back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import Translates
from simulacra.core.errors import UsageError
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split, levels
from simulacra.metrics.measurement import Measurement, fraction_of, mean_of
from simulacra.metrics.psnr import psnr, psnr_db

_PIXELS = 250 * 32**2  # that are translated together
_ROUNDED = {"translated": "rounded to 256 levels"}
_AS_THEY_ARE = {"translated": "not at all"}

Judge = Callable[[Tensor], Tensor]
"""From images [b c h w] in [0, 1] of a domain to their classes, int64 [b]."""


@dataclass(frozen=True)
class Direction:
    """One direction of translation: images of the domain `start`, and what each should become in the domain `to`, where known."""

    start: str
    to: str
    images: Split
    answers: Split | None = None

    def __post_init__(self) -> None:
        """Raise UsageError unless there are no answers, or one for each image."""
        if self.answers is not None and len(self.answers) != len(self.images):
            raise UsageError(f"{len(self.images):,} images have {len(self.answers):,} answers: give one for each")

    def pieces(self) -> Iterator[Split]:
        """Yield the images, few enough at once to be translated together."""
        yield from _cut(self.images, self.images)

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images with their answers, float [b c h w] in [0, 1], in the same pieces."""
        for piece, answers in zip(self.pieces(), _cut(self.answers or self.images, self.images), strict=True):
            yield _floats(piece), _floats(answers)


def cycle(model: Translates, direction: Direction, meter: Meter) -> dict[str, Measurement]:
    """Measure cycle_mse_START, there and back: squared difference of pixels in [0, 1], mean over an image, then over all.

    (The consistency of Zhu et al. 2017, eq. 2, who take absolute values.) Smaller is better; 0 for a model that does nothing, so
    that it counts only beside the numbers of the way there. In between, images are rounded to 256 levels, as files would hold
    them: what is hidden in less than a level (Chu et al. 2017) does not come back.
    """
    errors = []
    for piece in direction.pieces():
        images = _floats(piece)
        returned = model.translate(levels(model.translate(images, direction.to)), direction.start)
        errors.append((levels(returned) - images).square().flatten(1).mean(1))
        meter.advance(len(piece))
    way = f"{direction.start} to {direction.to} to {direction.start}"
    return {f"cycle_mse_{direction.start}": mean_of(torch.cat(errors), {"pixels": "in [0, 1]", "way": way, **_ROUNDED})}


def nearness(model: Translates, direction: Direction, meter: Meter) -> dict[str, Measurement]:
    """Measure translation_psnr_db_to_TO: peak signal-to-noise ratio of translations to the known answers. Larger is better.

    Mean of decibels over images, as `psnr_db`. Where the domains have one shape, untranslated_psnr_db_to_TO is that of the images
    as they are. Raises UsageError where no answers are known.
    """
    if direction.answers is None:
        raise UsageError(f"no answers are known from {direction.start} to {direction.to}")
    ratios, as_they_are = [], []
    for images, answers in direction.pairs():
        ratios.append(psnr(levels(model.translate(images, direction.to)), answers))
        if images.shape == answers.shape:
            as_they_are.append(psnr(images, answers))
        meter.advance(len(images))
    found = {f"translation_psnr_db_to_{direction.to}": psnr_db(torch.cat(ratios)).under(_way(direction, _ROUNDED))}
    if as_they_are:
        plain = psnr_db(torch.cat(as_they_are)).under(_way(direction, _AS_THEY_ARE))
        found[f"untranslated_psnr_db_to_{direction.to}"] = plain
    return found


def survival(model: Translates, direction: Direction, judge: Judge, real: Split, meter: Meter) -> dict[str, Measurement]:
    """Measure translation_accuracy_to_TO: share of translations in which a judge of the domain sees the image's own class.

    In [0, 1], larger is better; untranslated_accuracy_to_TO is that of the images as they are, shown to the same judge. The
    judge's own errors count as the model's: real images of the domain TO reach `real_against_real` (in the protocol). Intervals
    cover the images. Raises UsageError for images without labels.
    """
    told, as_they_are = [], []
    for images, labels in _labelled(direction.images, direction.start):
        told.append(judge(levels(model.translate(images, direction.to))) == labels)
        as_they_are.append(judge(images) == labels)
        meter.advance(len(images))
    ceiling = []
    for images, labels in _labelled(real, direction.to):
        ceiling.append(judge(images) == labels)
        meter.advance(len(images))
    reached = {"real_against_real": torch.cat(ceiling).double().mean().item()}
    return {
        f"translation_accuracy_to_{direction.to}": fraction_of(torch.cat(told), _way(direction, _ROUNDED) | reached),
        f"untranslated_accuracy_to_{direction.to}": fraction_of(torch.cat(as_they_are), _way(direction, _AS_THEY_ARE)),
    }


def _cut(split: Split, like: Split) -> Iterator[Split]:
    """Yield a split in pieces of so many images as of `like` are translated together."""
    height, width = like.images.shape[1:3]
    size = max(1, _PIXELS // (height * width))
    yield from (split[start : start + size] for start in range(0, len(split), size))


def _labelled(split: Split, domain: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images with their labels, few enough at once to be translated together."""
    if split.labels is None:
        raise UsageError(f"the images of domain {domain} have no labels: nobody can say which class should survive")
    for piece in _cut(split, split):
        yield _floats(piece), torch.from_numpy(np.array(piece.labels))


def _floats(piece: Split) -> Tensor:
    return piece.head(len(piece)).images


def _way(direction: Direction, translated: dict[str, str]) -> dict[str, Any]:
    return {"from": direction.start, "to": direction.to, **translated}

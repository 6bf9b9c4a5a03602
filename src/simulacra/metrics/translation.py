"""How well images become images of another domain: nearness to the known answer, classes that survive, and the way back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from simulacra.core.capabilities import Translates
from simulacra.core.errors import UsageError
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split, levels
from simulacra.metrics.psnr import psnr, psnr_db
from simulacra.metrics.result import Measurement, fraction_of, mean_of

_CHUNK = 250
_ROUNDED = {"translated": "rounded to 256 levels"}

Judge = Callable[[Tensor], Tensor]
"""From images [b c h w] in [0, 1] of a domain to their classes, int64 [b]."""


@dataclass(frozen=True)
class Direction:
    """One direction of translation, and what is known of it.

    images: of the domain `start`; answers: images of the domain `to`, what each of them should become, or None; judge: tells the
    classes of images of `to`, by the numbers that the labels of `images` have, or None.
    """

    start: str
    to: str
    images: Split
    answers: Split | None = None
    judge: Judge | None = None

    def __post_init__(self) -> None:
        """Raise UsageError where answers or labels are missing or too many."""
        if self.answers is not None and len(self.answers) != len(self.images):
            raise UsageError(f"{len(self.images):,} images have {len(self.answers):,} answers: give one for each")
        if self.judge is not None and self.images.labels is None:
            raise UsageError(f"the images of domain {self.start} have no labels, which a judge needs: leave the judge out")


@dataclass
class _Values:
    """What is found of each image, piece by piece."""

    ratios: list[Tensor] = field(default_factory=list)
    as_they_are: list[Tensor] = field(default_factory=list)
    told: list[Tensor] = field(default_factory=list)
    told_as_they_are: list[Tensor] = field(default_factory=list)
    errors: list[Tensor] = field(default_factory=list)


def translation(model: Translates, direction: Direction, meter: Meter) -> dict[str, Measurement]:
    """Measure the translation of every image of a direction, once there and once back.

    With `start` and `to` the names of the domains, and translations rounded to 256 levels, as files would hold them:

    - translation_psnr_db_to_TO: peak signal-to-noise ratio to the known answers, mean of decibels over images. Larger is better.
    - translation_accuracy_to_TO: share of translations in which the judge sees the label of the image. Larger is better.
    - cycle_mse_START: squared difference of pixels in [0, 1] between an image and its translation there and back (the cycle
      consistency of Zhu et al. 2017, eq. 2, there with absolute values), mean over pixels, then over images. Smaller is better;
      it says nothing of the way there, since a model that does nothing reaches 0.
    - untranslated_psnr_db_to_TO, untranslated_accuracy_to_TO: the same of the images as they are. A translation that is no better
      has achieved nothing. The ratio is left out where the domains differ in shape.

    Errors and intervals cover the images, not the trainings of model and judge.
    """
    values = _Values()
    start = 0
    for batch in direction.images.chunks(_CHUNK):
        _look(model, direction, batch.images, start, values)
        start += len(batch)
        meter.advance(len(batch))
    return _measured(direction, values)


def _look(model: Translates, direction: Direction, images: Tensor, start: int, values: _Values) -> None:
    """Note what is found of the images [b c h w] that begin at `start`."""
    rows = slice(start, start + len(images))
    made = levels(model.translate(images, direction.to))
    values.errors.append((model.translate(made, direction.start) - images).square().flatten(1).mean(1))
    if direction.answers is not None:
        (answers,) = (batch.images for batch in direction.answers[rows].chunks(len(images)))
        values.ratios.append(psnr(made, answers))
        if images.shape == answers.shape:
            values.as_they_are.append(psnr(images, answers))
    if direction.judge is not None and direction.images.labels is not None:
        labels = torch.from_numpy(direction.images.labels[rows])
        values.told.append(direction.judge(made) == labels)
        values.told_as_they_are.append(direction.judge(images) == labels)


def _measured(direction: Direction, values: _Values) -> dict[str, Measurement]:
    start, to = direction.start, direction.to
    way = {"from": start, "to": to}
    cycle = {"pixels": "in [0, 1]", "way": f"{start} to {to} to {start}"}
    found = {f"cycle_mse_{start}": mean_of(torch.cat(values.errors), cycle)}
    if values.ratios:
        found[f"translation_psnr_db_to_{to}"] = psnr_db(torch.cat(values.ratios)).under(way)
    if values.told:
        found[f"translation_accuracy_to_{to}"] = fraction_of(torch.cat(values.told), way)
    found = {name: item.under(_ROUNDED) for name, item in found.items()}
    plain: dict[str, Any] = {**way, "translated": "not at all"}
    if values.as_they_are:
        found[f"untranslated_psnr_db_to_{to}"] = psnr_db(torch.cat(values.as_they_are)).under(plain)
    if values.told_as_they_are:
        found[f"untranslated_accuracy_to_{to}"] = fraction_of(torch.cat(values.told_as_they_are), plain)
    return found

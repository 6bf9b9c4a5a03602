"""Restorations of images in batches: how images are degraded, and independent draws given the degraded images."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import Restores, SamplesIteratively, require
from simulacra.core.condition import UNCONDITIONAL
from simulacra.core.device import images_per_call
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.finite import require_finite
from simulacra.core.progress import Progress
from simulacra.core.randomness import Streams, derive, noise
from simulacra.data.dataset import Split
from simulacra.degradations import Degradation, Degraded, parse
from simulacra.runs.opened import OpenedRun

_CHUNK = 64  # images whose draws are held at once, at most; the block of `noise`
_HELD = 2**24  # values of draws that are held at once, at most
_BATCH, _ITERATIVE_BATCH = 256, 64  # restorations per call of a network, and of an iterative sampler
_VALUES = 2**18  # pixel values per call of an iterative sampler, at most
_STREAM = (4,)  # shape of the noise that identifies the stream of an image's degradation


class Degrader(Protocol):
    """Degrades images by their number: the random numbers of image k are a function of the seed and k alone."""

    @property
    def name(self) -> str:
        """What it does, as it is recorded: equal names degrade alike."""

    def degrade(self, images: Tensor, start: int) -> Degraded:
        """Return degraded images of images [n c h w] in [0, 1] with the numbers start .. start+n."""


@dataclass(frozen=True)
class NamedDegradation:
    """A degradation that a text names; its random numbers are a stream for each image."""

    degradation: Degradation
    seed: int = 0

    @property
    def name(self) -> str:
        """The text."""
        return str(self.degradation)

    def degrade(self, images: Tensor, start: int) -> Degraded:
        """Return degraded images."""
        streams = Streams(noise(derive(self.seed, "degradation"), start, len(images), _STREAM))
        degraded = self.degradation.apply(images, streams.draw)
        return Degraded(degraded.image, degraded.known.expand(len(images), 1, -1, -1))


@dataclass(frozen=True)
class TrainingDegradations:
    """The degradations that a model was trained on, as it derives them from each image."""

    model: Restores

    @property
    def name(self) -> str:
        """The degradations, one of which is drawn for each image."""
        return ",".join(self.model.trained_degradations) or "those of the training"

    def degrade(self, images: Tensor, start: int) -> Degraded:
        """Return degraded images."""
        condition = self.model.complete_condition(UNCONDITIONAL, images)
        if condition.image is None or condition.known is None:
            raise UsageError(f"this {type(self.model).__name__} was trained without degradations: name one with --degradation")
        return Degraded(condition.image, condition.known)


@dataclass(frozen=True)
class GivenMasks:
    """Hides the pixels of given masks: known, bool [m 1 h w], of which image k has mask k modulo m."""

    known: Tensor

    @property
    def name(self) -> str:
        """A digest of the masks."""
        return f"mask:{sha256(self.known.numpy().tobytes()).hexdigest()[:16]}"

    def degrade(self, images: Tensor, start: int) -> Degraded:
        """Return the images without their hidden pixels."""
        known = self.known[torch.arange(start, start + len(images)) % len(self.known)].to(images.dtype)
        return Degraded(images * known, known)


@dataclass(frozen=True)
class AlreadyDegraded:
    """Returns images as they are, as measurements of which no pixel is known exactly."""

    name: str = "already degraded"

    def degrade(self, images: Tensor, start: int) -> Degraded:
        """Return the images."""
        return Degraded(images, torch.zeros_like(images[:, :1]))


@dataclass(frozen=True, repr=False)
class Restoration:
    """Restorations of n images; values are in [0, 1].

    degraded, mean, deviation, lower, upper: float32 [n c h w], where mean and deviation (n - 1 in the denominator) are over the
    draws; known: bool [n 1 h w], True where the degraded image has the pixels of the original; draws: float32 [n k c h w];
    lower, upper: ends of the intervals mean ± factor x deviation of a level; calibrated: whether the factor is from validation
    images, or else that of a Gaussian; truth: the original images, None where they are unknown.
    """

    degraded: Tensor
    known: Tensor
    draws: Tensor
    mean: Tensor
    deviation: Tensor
    lower: Tensor
    upper: Tensor
    level: float
    factor: float
    calibrated: bool
    truth: Tensor | None = None

    def head(self, count: int) -> "Restoration":
        """Return the restorations of the first `count` images."""
        fields = vars(self)
        return Restoration(**{**fields, **{name: fields[name][:count] for name in _tensors(fields)}})

    def __repr__(self) -> str:
        images, draws = self.draws.shape[:2]
        size = " x ".join(map(str, self.mean.shape[1:]))
        intervals = intervals_in_words(self.level, self.factor, self.calibrated)
        return f"<Restoration: {images:,} images ({size}), {draws} draws each; {intervals}>"


def intervals_in_words(level: float, factor: float, calibrated: bool) -> str:
    """Return how the intervals of a restoration were made.

    >>> intervals_in_words(0.9, 1.64, False)
    '90 % intervals: mean ± 1.64 x deviation, uncalibrated'
    """
    return f"{100 * level:g} % intervals: mean ± {factor:.3g} x deviation, {'calibrated' if calibrated else 'uncalibrated'}"


def joined(parts: Sequence[Restoration]) -> Restoration:
    """Return the restorations of several parts as one."""
    first = vars(parts[0])
    return Restoration(**{**first, **{name: torch.cat([vars(part)[name] for part in parts]) for name in _tensors(first)}})


def _tensors(fields: Mapping[str, object]) -> list[str]:
    return [name for name, value in fields.items() if isinstance(value, Tensor)]


@dataclass(frozen=True)
class RestorationRequest:
    """What to draw: `draws` restorations of each image, which `degrader` degrades; seed: of the noise; task: for progress."""

    degrader: Degrader
    draws: int
    seed: int = 0
    task: str = "restoring"


def degrader(model: object, degradation: str, seed: int = 0) -> Degrader:
    """Return what degrades images for a model: the degradation that a text names, or that of its training where this is empty.

    Raises NotApplicable for a model that does not restore, UsageError for an unknown name, for a model without degradations of
    its own, and for one that restores missing pixels only where the degradation does more than remove pixels.
    """
    able = require(model, Restores, "restoration")
    if not degradation:
        if able.degradations == "any":
            return TrainingDegradations(able)
        raise UsageError(
            f"no degradation is named, and {type(model).__name__} has none of its own: name one, such as quadrants:1"
        )
    named = parse(degradation)
    if able.degradations == "missing pixels" and not named.masks:
        raise UsageError(
            f"{type(model).__name__} restores missing pixels only, and {named} changes the others: name a degradation that only "
            "removes pixels, such as quadrants:1, or train a model on this degradation"
        )
    return NamedDegradation(named, seed)


def untrained(model: object, degradation: str) -> str:
    """Return the warning where a model was trained on degradations and not on the one that a text names; empty otherwise.

    degradation: empty for masks of one's own.
    """
    known = require(model, Restores, "restoration").trained_degradations
    named = str(parse(degradation)) if degradation else "this mask"
    if not known or named in known:
        return ""
    return f"this {type(model).__name__} was trained on {', '.join(known)}, not on {named}: expect worse restorations"


def evaluations(model: object) -> int:
    """Return the number of network evaluations of one restoration, by the settings of the model."""
    return model.evaluations(model.plan) if isinstance(model, SamplesIteratively) else 1


@dataclass(frozen=True)
class DrawnChunk:
    """Restorations of the images start .. start+n: images [n c h w], what they were degraded to, draws [n k c h w]."""

    start: int
    images: Tensor
    degraded: Degraded
    draws: Tensor


def drawn_chunks(
    opened: OpenedRun, images: Split | Tensor, count: int, request: RestorationRequest, progress: Progress
) -> Iterator[DrawnChunk]:
    """Yield the first `count` images with their restorations, in chunks that fit in memory, with the progress of the draws."""
    size = max(1, min(_CHUNK, _HELD // (request.draws * opened.spec.dimensions)))
    with progress.task(request.task, count * request.draws, "draws") as meter:
        for start in range(0, count, size):
            stop = min(start + size, count)
            part = images[start:stop] if isinstance(images, Tensor) else images.batch(np.arange(start, stop)).images
            degraded = request.degrader.degrade(part, start)
            yield DrawnChunk(start, part, degraded, draw(opened, degraded, start, request, meter.advance))


def draw(
    opened: OpenedRun,
    degraded: Degraded,
    start: int,
    request: RestorationRequest,
    advance: Callable[[int], None] = lambda rows: None,
) -> Tensor:
    """Return restorations of degraded images: float [n draws c h w] in [0, 1] on the CPU.

    Draw j of image k, whose number is start + its row, depends on the seed, k and j alone. Known pixels are exactly those of the
    degraded image. `advance` is called with the number of restorations that are done. Raises NotApplicable.
    """
    model = require(opened.model, Restores, "restoration")
    count, draws = len(degraded.image), request.draws
    seeds = [derive(request.seed, "restoration", number) for number in range(draws)]
    drawn = torch.cat([noise(own, start, count, model.noise_shape) for own in seeds])
    rows = torch.arange(count).repeat(draws)
    restored = []
    with inference_mode(opened.model):
        for part, own in zip(drawn.split(_batch(opened, model)), rows.split(_batch(opened, model)), strict=True):
            image, known = (values[own].to(opened.device) for values in (degraded.image, degraded.known))
            found = model.restore(image, known, part.to(opened.device))
            restored.append(torch.where(known > 0, image, found).clamp(0, 1).cpu())
            advance(len(part))
    return require_finite(torch.cat(restored), "restorations").unflatten(0, (draws, count)).transpose(0, 1)


def _batch(opened: OpenedRun, model: Restores) -> int:
    """Return the number of restorations per call."""
    values = math.prod(model.noise_shape)
    if not isinstance(model, SamplesIteratively):
        return images_per_call(opened.device, values, _BATCH)
    return images_per_call(opened.device, values, max(1, min(_ITERATIVE_BATCH, _VALUES // values)))

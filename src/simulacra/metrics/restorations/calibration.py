"""Calibration of the intervals of restorations: one conformal factor from validation images, stored in the run folder."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simulacra.core.capabilities import SamplesIteratively
from simulacra.core.errors import DataError
from simulacra.core.files import Unwritable, write_json
from simulacra.core.progress import Progress
from simulacra.core.randomness import derive, permutation
from simulacra.images.files import make_folder
from simulacra.metrics.restorations.conformal import (
    conformal_factor,
    counted,
    interval,
    mean_and_deviation,
    normal_factor,
    pooled_mean,
    scores,
)
from simulacra.runs.image_to_image.restoration import (
    Degrader,
    DrawnChunk,
    Restoration,
    RestorationRequest,
    drawn_chunks,
    evaluations,
)
from simulacra.runs.opened import OpenedRun

_IMAGES, _ITERATIVE_IMAGES = 1000, 64  # validation images, by default at most
_VALUES = 4096  # values of each image whose scores are kept, at most
_VERSION = 2  # increased when the definition of a calibration changes

CALIBRATION_SEED = derive(0, "calibration")
"""Seed of the degradations and draws of every calibration, whatever the seed of its use, so that it can be used again."""


@dataclass(frozen=True)
class Calibration:
    """The factor of the intervals of one model under one degradation, and what it depends on.

    level: the share of counted values to cover; factor: of the deviation; images: validation images used, of which `counted`
    have a hidden value with a large deviation, `values` in all; standard_error: of the coverage on new images due to the finite
    number of these images, which are its clusters; identity: everything that the factor depends on.
    """

    level: float
    factor: float
    images: int
    counted: int
    values: int
    standard_error: float
    identity: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """Factor and level with their basis, ready for JSON."""
        return {"factor": self.factor, "level": self.level, "calibration_images": self.images}


@dataclass(frozen=True)
class Uncalibrated:
    """Stands for a calibration where there is none: the factor is that of a Gaussian, without any guarantee."""

    level: float

    @property
    def factor(self) -> float:
        """The factor of the deviation."""
        return normal_factor(self.level)


@dataclass(frozen=True)
class CalibrationRequest:
    """What to calibrate: restorations of images degraded by `degrader`, `draws` each, for intervals of a level.

    degrader: with random numbers of CALIBRATION_SEED, so that its name identifies what it does;
    images: number of validation images at most; -1: 1,000, or 64 for a model that samples in steps.
    """

    degrader: Degrader
    draws: int
    level: float
    images: int = -1

    def count(self, opened: OpenedRun) -> int:
        """Return the number of validation images at most."""
        default = _ITERATIVE_IMAGES if isinstance(opened.model, SamplesIteratively) else _IMAGES
        return default if self.images < 0 else self.images

    def identity(self, opened: OpenedRun) -> dict[str, Any]:
        """Return everything that the factor depends on, ready for JSON."""
        plan = {"evaluations": evaluations(opened.model)}
        data = {"data": opened.run.provenance["data"]["digest"], "weights": opened.digest, "version": _VERSION, **plan}
        return {**data, "degradation": self.degrader.name, "draws": self.draws, "level": self.level, "most": self.count(opened)}


def with_intervals(chunk: DrawnChunk, basis: Calibration | Uncalibrated) -> Restoration:
    """Return mean, deviation and intervals of restorations."""
    mean, deviation = mean_and_deviation(chunk.draws)
    ends = interval(mean, deviation, basis.factor)
    known, calibrated = chunk.degraded.known > 0, isinstance(basis, Calibration)
    return Restoration(
        chunk.degraded.image, known, chunk.draws, mean, deviation, *ends, basis.level, basis.factor, calibrated, chunk.images
    )


def calibrated(opened: OpenedRun, request: CalibrationRequest, progress: Progress) -> Calibration:
    """Return the calibration that is stored in the run for this request, or compute and store it, with an announced cost.

    Raises DataError without validation images, UsageError where these have too few hidden values with a large deviation.
    """
    identity = request.identity(opened)
    name = f"{request.degrader.name}-{request.draws}-{request.level:g}-{identity['most']}"
    file = opened.run.calibrations / f"{''.join(letter if letter.isalnum() else '-' for letter in name)}.json"
    if stored := _read(file, identity):
        return stored
    split = opened.dataset.validation
    count = min(identity["most"], len(split))
    if not count:
        raise DataError(f"{opened.dataset.name} has no validation images to calibrate with: train with --validation")
    total = count * request.draws * identity["evaluations"]
    each = f" x {identity['evaluations']} steps" if identity["evaluations"] > 1 else ""
    cost = f"{count:,} validation images x {request.draws} draws{each} = {total:,} evaluations of the network"
    progress.message(f"calibrating the intervals: {cost}")
    wanted = RestorationRequest(request.degrader, request.draws, CALIBRATION_SEED, "calibrating")
    found = _calibrate(drawn_chunks(opened, split, count, wanted, progress), request.level)
    calibration = Calibration(identity=identity, **found)
    try:
        make_folder(file.parent)
        write_json(file, asdict(calibration))
    except Unwritable as error:
        progress.message(f"warning: the calibration is not stored: {error}")
    return calibration


def _calibrate(drawn: Iterator[DrawnChunk], level: float) -> dict[str, Any]:
    """Return the fields of a calibration from restorations of images; of large images a random part of the values is used."""
    kept, sizes = list[Tensor](), list[Tensor]()
    for chunk in drawn:
        mean, deviation = mean_and_deviation(chunk.draws)
        counts = counted(deviation, chunk.degraded.known > 0).flatten(1)
        places = torch.from_numpy(permutation(counts.shape[1], CALIBRATION_SEED, "values")[:_VALUES])
        chosen = counts[:, places]
        found = scores(chunk.images.flatten(1)[:, places], mean.flatten(1)[:, places], deviation.flatten(1)[:, places])
        kept.append(found[chosen])
        sizes.append(chosen.sum(1))
    values, counts = torch.cat(kept), torch.cat(sizes)
    factor = conformal_factor(values, level)
    hits = torch.stack([part.sum() for part in (values <= factor).double().split(counts.tolist())])
    coverage = pooled_mean(hits, counts, {})
    error = coverage.standard_error or 0.0
    facts = {"level": level, "factor": factor, "images": len(counts), "counted": coverage.n}
    return {**facts, "values": len(values), "standard_error": error}


def _read(file: Path, identity: Mapping[str, Any]) -> Calibration | None:
    """Return a stored calibration of this identity; None where there is none, or where the file is damaged."""
    try:
        content = json.loads(file.read_text())
        return Calibration(**content) if content["identity"] == identity else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None

"""Restore degraded images: the mean of several draws, the draws, and the deviation of each pixel with a calibrated interval.

Test images are degraded unless --input names an image file, a folder or an archive of your own. --degradation names what is
done to the images, such as quadrants:1 or bottom; --mask gives an image file of the model's size instead, bright where pixels
are known. Models that were trained on degraded images take the degradations of their training by default. With --given degraded
the images of --input are degraded already: hidden pixels are those of --mask, or transparent.

The suffix of --out determines the form: .png is one table; .npz holds the arrays truth, degraded, known, mean, deviation, draws,
lower and upper; anything else is a new folder with a folder for each image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import Restores, require
from simulacra.core.config import Config, option
from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.data.own.masks import known_pixels, masks_of
from simulacra.data.own.own_images import OwnImages, own_images
from simulacra.data.own.skipped import skipped_facts, skipped_text
from simulacra.degradations import descriptions, parse
from simulacra.images.restorations import check_restorations_path, restoration_table, restorations_writer
from simulacra.images.section import Figure, ReportSection
from simulacra.metrics.restorations.calibration import (
    CALIBRATION_SEED,
    Calibration,
    CalibrationRequest,
    Uncalibrated,
    calibrated,
    with_intervals,
)
from simulacra.metrics.restorations.quality import RestorationQuality
from simulacra.runs.image_to_image.restoration import (
    AlreadyDegraded,
    Degrader,
    GivenMasks,
    Restoration,
    RestorationRequest,
    degrader,
    drawn_chunks,
    intervals_in_words,
    joined,
    untrained,
)
from simulacra.runs.opened import OpenedRun, check_images
from simulacra.runs.output import IN_IMAGES, output_path
from simulacra.runs.test_images import choose_images, overview_images

_COUNT = 8  # test images by default, and images of --input in a table
_REPORTED = 6  # images and draws in the report
_REPORT_DEGRADATION = "quadrants:1"  # of models without degradations of their own

Given = Literal["clean", "degraded"]


@dataclass(frozen=True)
class RestoreConfig(Config):
    """Settings of a restoration."""

    degradation: str = option(
        "", f"what is done to the images, several joined by +; empty: as in the training. Known: {', '.join(descriptions())}"
    )
    mask: str = option("", "an image file of the model's size instead, bright where pixels are known")
    input: str = option("", "images of your own instead of test images: a file, folder or archive")
    given: Literal["clean", "degraded"] = option(
        "clean", "whether the images of --input are clean, and are degraded first, or degraded already"
    )
    count: int = option(0, f"number of images; 0: {_COUNT}, or all images of --input unless --out is a .png file", low=0)
    draws: int = option(16, "number of restorations of each image", low=1)
    level: float = option(0.9, "share of the hidden values that the intervals cover", low=0.01, high=0.999)
    calibration_images: int = option(
        -1, "validation images that calibrate the intervals; 0: none; -1: 1,000, or 64 for a model that samples in steps", low=-1
    )
    seed: int = option(0, "seed of the choice of images, of the degradations and of the draws", low=0)
    out: str = option("", f"a .png or .npz file, or a folder (default: restorations.png {IN_IMAGES})")


def restore(
    opened: OpenedRun,
    images: Tensor,
    degradation: str = "",
    draws: int = 16,
    seed: int = 0,
    *,
    known: Tensor | None = None,
    given: Given = "clean",
    level: float = 0.9,
    calibration_images: int = -1,
    progress: Progress = SILENT,
) -> Restoration:
    """Return `draws` restorations of images [n c h w] in [0, 1], their mean, deviation and intervals, all held in memory.

    degradation: what is done to the images first, such as quadrants:1; empty for the degradations of the training. known: bool
    [h w] or [n h w] instead, True where pixels are known. given: `degraded` where the images are degraded already; the hidden
    pixels are then those of `known`, or every pixel counts as changed by `degradation`. level, calibration_images: as in the
    command. Draw j of image k depends on the seed, j and k alone. Raises NotApplicable, UsageError.
    """
    check_images(images, opened.spec)
    masks = None if known is None else masks_of(known, images)
    ways = _degraders(opened, degradation, masks, given, seed)
    for name, value, low, high in (("draws", draws, 1, None), ("level", level, 0.01, 0.999)):
        if value < low or (high is not None and value > high):
            raise UsageError(f"{name} is {value}, expected at least {low}{'' if high is None else f' and at most {high}'}")
    basis = _basis(opened, CalibrationRequest(ways.calibrated, draws, level, calibration_images), progress)
    parts = _restored(opened, images, RestorationRequest(ways.applied, draws, seed), basis, progress)
    return joined([replace(part, truth=None) if given == "degraded" else part for _, part in parts])


@dataclass(frozen=True)
class _Ways:
    """What degrades the images, and what degrades the validation images of the calibration alike."""

    applied: Degrader
    calibrated: Degrader


def _degraders(opened: OpenedRun, degradation: str, known: Tensor | None, given: Given, seed: int) -> _Ways:
    """Return how images are degraded; raises UsageError where it is named twice or not at all."""
    model = require(opened.model, Restores, "restoration")
    if known is not None:
        if degradation:
            raise UsageError("both a degradation and a mask are given: give one of them")
        if known.all():
            raise UsageError("every pixel is known, so that nothing is missing: give a mask, or images, with hidden pixels")
        return _Ways(GivenMasks(known), GivenMasks(known))
    if given == "degraded" and (not degradation or parse(degradation).masks):
        raise UsageError(
            "images that are degraded already need a mask, transparent pixels, or the name of a degradation that changes every "
            "pixel, such as blur"
        )
    applied = AlreadyDegraded() if given == "degraded" else degrader(model, degradation, seed)
    return _Ways(applied, degrader(model, degradation, CALIBRATION_SEED))


def _basis(opened: OpenedRun, request: CalibrationRequest, progress: Progress) -> Calibration | Uncalibrated:
    """Return the calibration of the intervals; without one, state why."""
    if request.images == 0:
        return Uncalibrated(request.level)
    try:
        return calibrated(opened, request, progress)
    except (DataError, UsageError) as error:
        progress.message(f"warning: the intervals are not calibrated: {error}")
        return Uncalibrated(request.level)


def _restored(
    opened: OpenedRun, images: Tensor, request: RestorationRequest, basis: Calibration | Uncalibrated, progress: Progress
) -> Iterator[tuple[int, Restoration]]:
    """Yield the restorations of images in parts that fit in memory, each with the number of its first image."""
    for chunk in drawn_chunks(opened, images, len(images), request, progress):
        yield chunk.start, with_intervals(chunk, basis)


# --- the command


def _run(opened: OpenedRun, settings: RestoreConfig, progress: Progress) -> ApplicationResult:
    path = output_path(opened.run, settings, "restorations", ".png")
    check_restorations_path(path, settings.count, opened.spec.shape)
    if settings.given == "degraded" and not settings.input:
        raise UsageError("--given degraded is for images of your own: name them with --input")
    known = known_pixels(Path(settings.mask), opened.spec)[None, None] if settings.mask else None
    if known is not None or settings.given == "clean":
        _degraders(opened, settings.degradation, known, settings.given, settings.seed)  # raises, before images are read
    chosen = _images(opened, settings, path, progress)
    if settings.given == "degraded" and known is None and not settings.degradation and not chosen.opaque.all():
        known = chosen.opaque
    ways = _degraders(opened, settings.degradation, known, settings.given, settings.seed)
    if (known is not None or settings.degradation) and (warning := untrained(opened.model, settings.degradation)):
        progress.message(f"warning: {warning}")
    basis = _basis(
        opened, CalibrationRequest(ways.calibrated, settings.draws, settings.level, settings.calibration_images), progress
    )
    quality, request = RestorationQuality(), RestorationRequest(ways.applied, settings.draws, settings.seed)
    facts = {"level": basis.level, "factor": basis.factor, "calibrated": isinstance(basis, Calibration)}
    with restorations_writer(path, chosen.names, **facts) as write:
        for start, restored in _restored(opened, chosen.images, request, basis, progress):
            part = replace(restored, truth=None) if settings.given == "degraded" else restored
            quality.add(part)
            write(start, part)
    content = {"path": str(path), "count": len(chosen.images), "draws": settings.draws, "seed": settings.seed}
    content |= {"degradation": ways.applied.name, **_numbers(quality), **facts, "skipped": skipped_facts(chosen.skipped)}
    content |= {"unused": chosen.unused}
    return ApplicationResult(content, _text(content, settings) + skipped_text(chosen.skipped, chosen.unused))


def _images(opened: OpenedRun, settings: RestoreConfig, path: Path, progress: Progress) -> OwnImages:
    """Return the images to restore: those of --input, or test images."""
    if not settings.input:
        images = choose_images(opened.dataset.test, settings.count, settings.seed, _COUNT).images
        return OwnImages(("",) * len(images), images, torch.ones_like(images[:, :1], dtype=torch.bool))
    most = settings.count or (_COUNT if path.suffix.lower() == ".png" else 0)
    return own_images(Path(settings.input), opened.spec, most)


def _numbers(quality: RestorationQuality) -> dict[str, Any]:
    """Return the numbers of the result, ready for JSON."""
    return {**{name: item.value for name, item in quality.similarity.items()}, "diversity": quality.diversity.value}


def _text(content: dict[str, Any], settings: RestoreConfig) -> str:
    """Return the result in words."""
    similarity = f", PSNR of the mean {content['psnr_db']:.2f} dB" if "psnr_db" in content else ""
    ends = intervals_in_words(settings.level, content["factor"], content["calibrated"])
    return f"{content['count']:,} images, {settings.draws} draws each{similarity}; {ends}; in {content['path']}"


def _section(opened: OpenedRun) -> ReportSection:
    images = overview_images(opened, _REPORTED).images
    model = require(opened.model, Restores, "restoration")
    degradation = _REPORT_DEGRADATION if model.degradations == "missing pixels" else ""
    restored = restore(opened, images, degradation, _REPORTED, calibration_images=0)
    what = f"degraded by {degradation}" if degradation else "degraded as in the training"
    text = (
        f"Images of the test set, {what} (grey: missing pixels), the mean of {_REPORTED} draws, the standard deviation of the "
        "draws, and the draws. Draws should agree with the known pixels, be realistic each, and differ where the degraded image "
        "leaves several answers open."
    )
    alt = f"{len(images)} test images, one in each row, with their restorations"
    return ReportSection("Restorations", 13, (text,), ((Figure(restoration_table(restored), alt),),))


APPLICATION = Application(
    name="restore",
    description=__doc__,
    settings=RestoreConfig,
    needs=(Restores,),
    run=_run,
    examples=(
        "simulacra restore runs/diffusion --degradation quadrants:1",
        "simulacra restore runs/diffusion --mask hole.png --draws 5 --count 12",
        "simulacra restore runs/restorer --input photos/ --draws 64 --out restored.npz",
        "simulacra restore runs/restorer --input scratched/ --given degraded --out repaired/",
    ),
    section=_section,
)

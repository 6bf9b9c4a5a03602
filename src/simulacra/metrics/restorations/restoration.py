"""Restorations of degraded images: similarity of their mean, diversity of the draws, coverage and width of the intervals."""

from collections.abc import Sequence

from simulacra.core.capabilities import Restores
from simulacra.core.errors import DataError, UsageError
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.restorations.calibration import (
    CALIBRATION_SEED,
    Calibration,
    CalibrationRequest,
    Uncalibrated,
    calibrated,
    with_intervals,
)
from simulacra.metrics.restorations.conformal import LEAST_DEVIATION
from simulacra.metrics.restorations.options import (
    OPTIONS,
    RestorationOptions,
    degrader_of,
    restoration_cost,
    restoration_protocol,
    restored_count,
    undegraded,
)
from simulacra.metrics.restorations.quality import RestorationQuality
from simulacra.metrics.statistics.image_similarity import WINDOW
from simulacra.runs.image_to_image.restoration import RestorationRequest, degrader, drawn_chunks


def _calibration(context: EvaluationContext) -> Calibration:
    options = context.options(RestorationOptions)
    if options.calibration_images == 0:
        raise UsageError("disabled by --calibration-images 0")
    if context.settings.split == "validation":
        raise UsageError("the intervals are calibrated with the validation images: measure their coverage on test images")
    by = degrader(context.model, options.degradation, CALIBRATION_SEED)
    request = CalibrationRequest(by, options.draws, options.level, options.calibration_images)
    return calibrated(context.opened, request, context.progress)


def _measure(context: EvaluationContext) -> MetricResults:
    options, by = context.options(RestorationOptions), degrader_of(context)
    missing: dict[str, str] = {}
    calibration: Calibration | None = None
    try:
        calibration = _calibration(context)
    except (UsageError, DataError) as error:
        missing |= dict.fromkeys(_INTERVALS, str(error))
    quality, request = RestorationQuality(), RestorationRequest(by, options.draws, context.settings.seed)
    basis = calibration or Uncalibrated(options.level)
    for chunk in drawn_chunks(context.opened, context.split, restored_count(context), request, context.progress):
        quality.add(with_intervals(chunk, basis))
    found = {f"restoration_{name}": item for name, item in quality.similarity.items()}
    found["restoration_diversity"] = quality.diversity
    if "restoration_ssim" not in found:
        missing["restoration_ssim"] = f"images are smaller than the window of {WINDOW}x{WINDOW} pixels"
    if calibration:
        try:
            found |= quality.intervals(calibration)
        except UsageError as error:
            missing |= dict.fromkeys(_INTERVALS, str(error))
    return MetricResults(found, missing).under({"draws": options.draws, **restoration_protocol(context)})


def _images(context: EvaluationContext) -> int:
    """Return the number of images that are restored, to measure and to calibrate."""
    options, opened = context.options(RestorationOptions), context.opened
    request = CalibrationRequest(degrader_of(context), options.draws, options.level, options.calibration_images)
    return restored_count(context) + min(request.count(opened), len(opened.dataset.validation))


_INTERVALS = ("interval_coverage", "interval_width")
_MEAN = "the mean of the draws with the original image"
_QUANTITIES: Sequence[Quantity] = (
    Quantity("restoration_psnr_db", "restoration, PSNR in dB", "larger", f"Peak signal-to-noise ratio of {_MEAN}, over images."),
    Quantity("restoration_ssim", "restoration, SSIM", "larger", f"Structural similarity of {_MEAN}; 1 means equal."),
    Quantity(
        "restoration_diversity",
        "restoration, deviation of draws",
        "neither",
        "Standard deviation over the draws of an image, mean over its hidden values in [0, 1], then over images.",
    ),
    Quantity(
        "interval_coverage",
        "restoration, coverage of intervals",
        "neither",
        f"Share of hidden values with a deviation above {LEAST_DEVIATION} that are inside their intervals, which are calibrated "
        "on validation images. It should equal the level, which is 0.9 by default.",
    ),
    Quantity(
        "interval_width",
        "restoration, width of intervals",
        "smaller",
        "Mean width of the same intervals, for values in [0, 1]; smaller is better at equal coverage.",
    ),
)

METRIC = Metric(
    name="restoration",
    quantities=tuple(_QUANTITIES),
    needs=(Restores,),
    order=65,
    cost=restoration_cost,
    images=_images,
    pilot=(("calibration_images", 0),),
    measure=_measure,
    shared=False,
    settings=("seed", *OPTIONS),
    options=RestorationOptions,
    not_applicable=undegraded,
    details=frozenset({"hidden_psnr_db", "factor", "pixels", "calibration_images", "calibration_error", "plan"}),
)

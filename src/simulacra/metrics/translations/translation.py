"""Quality of image translation: similarity to the known answer, and cycle consistency."""

from typing import cast

import torch

from simulacra.core.capabilities import Translates
from simulacra.core.device import model_device
from simulacra.core.errors import UsageError
from simulacra.core.family import model_condition
from simulacra.core.progress import Meter
from simulacra.data.dataset import levels
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Measured, Metric, MetricResults, Quantity
from simulacra.metrics.statistics.image_similarity import psnr, psnr_db
from simulacra.metrics.statistics.measurement import mean_of
from simulacra.metrics.translations.directions import BASELINE, ROUNDED, UNTRANSLATED, Direction, directions


def cycle_mse(model: Translates, direction: Direction, meter: Meter) -> Measured:
    """Return cycle_mse_START, the cycle consistency: squared difference between images and their translations there and back.

    (Zhu et al. 2017, eq. 2, who take absolute values.) Mean over the pixels in [0, 1] of an image, then over images. The identity
    reaches 0, so the number is meaningful only together with the quality of the translations. Images are rounded to 256 levels
    in between, so that information hidden below one level (Chu et al. 2017) is removed.
    """
    errors = []
    for batch in direction.chunks(model_device(model)):
        condition = model_condition(model, batch)
        translated = levels(model.translate(batch.images, direction.to, condition))
        returned = levels(model.translate(translated, direction.start, condition))
        errors.append((returned - batch.images).square().flatten(1).mean(1).cpu())
        meter.advance(len(batch))
    start, to = direction.protocol({}).values()
    way = f"{start} to {to} to {start}"
    return {f"cycle_mse_{direction.start}": mean_of(torch.cat(errors), {"pixels": "in [0, 1]", "way": way, **ROUNDED})}


def translation_psnr(model: Translates, direction: Direction, meter: Meter) -> Measured:
    """Return translation_psnr_db_to_TO: the peak signal-to-noise ratio of translations with respect to the known answers.

    Mean of decibels over images, as `psnr_db`. Where both domains have the same shape, untranslated_psnr_db_to_TO is that of the
    images without translation. Raises UsageError where no answers are known.
    """
    if direction.answers is None:
        raise UsageError(f"no answers are known from {direction.start} to {direction.to}")
    ratios, untranslated = [], []
    for batch, answers in direction.pairs(model_device(model)):
        translated = levels(model.translate(batch.images, direction.to, model_condition(model, batch)))
        ratios.append(psnr(translated, answers).cpu())
        if batch.images.shape == answers.shape:
            untranslated.append(psnr(batch.images, answers).cpu())
        meter.advance(len(batch))
    found = {f"translation_psnr_db_to_{direction.to}": psnr_db(torch.cat(ratios)).under(direction.protocol(ROUNDED))}
    if untranslated:
        plain = psnr_db(torch.cat(untranslated)).under(direction.protocol(UNTRANSLATED))
        found[f"untranslated_psnr_db_to_{direction.to}"] = plain
    return found


def _measure(context: EvaluationContext) -> MetricResults:
    model, ways = cast(Translates, context.model), directions(context)
    found: Measured = {}
    total = sum(len(way.images) * (1 if way.answers is None else 2) for way in ways)
    with context.progress.task("translating", total, "images") as meter:
        for way in ways:
            found |= translation_psnr(model, way, meter) if way.answers is not None else {}
            found |= cycle_mse(model, way, meter)
    unknown = "the correct answers are unknown: neither domain is a known transform of the other"
    missing = {f"translation_psnr_db_to_{way.to}": unknown for way in ways if way.answers is None}
    return MetricResults(found, missing)


def _psnr_quantities(to: str) -> tuple[Quantity, Quantity]:
    return (
        Quantity(f"translation_psnr_db_to_{to}", f"translation to {to}, PSNR in dB", "larger", _ANSWERS),
        Quantity(f"untranslated_psnr_db_to_{to}", f"no translation to {to}, PSNR in dB", "neither", BASELINE),
    )


def _cycle_quantity(start: str, to: str) -> Quantity:
    return Quantity(f"cycle_mse_{start}", f"cycle {start} to {to} to {start}, mean squared error", "smaller", _CYCLE)


_ANSWERS = "Peak signal-to-noise ratio of translations with respect to the known answers, mean over images."
_CYCLE = (
    "Squared difference between images and their translations there and back, for pixels in [0, 1]. The identity reaches 0, so "
    "the number is meaningful only together with the quality of the translations."
)

METRIC = Metric(
    name="translation",
    quantities=(*_psnr_quantities("a"), *_psnr_quantities("b"), _cycle_quantity("a", "b"), _cycle_quantity("b", "a")),
    needs=(Translates,),
    order=60,
    cost=lambda context: f"{len(context.split):,} translations there and back, in both directions",
    measure=_measure,
    shared=False,
)

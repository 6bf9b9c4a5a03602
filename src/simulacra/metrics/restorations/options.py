"""Options, protocol and cost of the metrics of restorations."""

from dataclasses import dataclass
from typing import Any

from simulacra.core.capabilities import Restores, SamplesIteratively, require
from simulacra.core.config import Config, option
from simulacra.metrics.context import EvaluationContext
from simulacra.runs.generation import plan_facts
from simulacra.runs.image_to_image.restoration import Degrader, degrader, evaluations

_ITERATIVE_IMAGES = 128  # images to restore with a model that samples in steps, by default at most


@dataclass(frozen=True)
class RestorationOptions(Config):
    """Options of the metrics of restorations."""

    degradation: str = option(
        "", "restoration: how images are degraded, such as quadrants:1; empty: as in the training, for a model trained on it"
    )
    restoration_images: int = option(
        0, f"restoration: number of images; 0: all, or {_ITERATIVE_IMAGES} for a model that samples in steps", low=0
    )
    draws: int = option(16, "restoration: number of draws for each image", low=2)
    level: float = option(
        0.9, "restoration: share of the hidden values that the calibrated intervals cover", low=0.01, high=0.999
    )
    calibration_images: int = option(
        -1, "restoration: validation images that calibrate the intervals; 0: none; -1: 1,000, or 64 for sampling in steps", low=-1
    )


OPTIONS = ("degradation", "restoration_images", "draws", "level", "calibration_images")
"""Names of the options."""


def restored_count(context: EvaluationContext) -> int:
    """Return the number of images to restore."""
    available, asked = len(context.split), context.options(RestorationOptions).restoration_images
    default = _ITERATIVE_IMAGES if isinstance(context.model, SamplesIteratively) else available
    return min(asked or default, available)


def degrader_of(context: EvaluationContext) -> Degrader:
    """Return what degrades the images; raises UsageError for a degradation that the model cannot restore."""
    return degrader(context.model, context.options(RestorationOptions).degradation, context.settings.seed)


def restoration_protocol(context: EvaluationContext) -> dict[str, Any]:
    """Return the conditions of a number of restorations, and the sampling plan of a model that has one."""
    plan = {"plan": plan_facts(context.model.plan)} if isinstance(context.model, SamplesIteratively) else {}
    return {"degradation": degrader_of(context).name, "seed": context.settings.seed, **plan}


def undegraded(context: EvaluationContext) -> str:
    """Return why restorations are not measured, empty where they are."""
    model, options = require(context.model, Restores, "restoration"), context.options(RestorationOptions)
    if not options.degradation and model.degradations == "missing pixels":
        return "the model was not trained on degraded images: name a degradation, such as --degradation quadrants:1"
    degrader_of(context)
    return ""


def restoration_cost(context: EvaluationContext, draws: int = 0) -> str:
    """Return the cost in words, of `draws` restorations of each image; 0: as many as the options."""
    steps, draws = evaluations(context.model), draws or context.options(RestorationOptions).draws
    each = f" of {steps} evaluations of the network each" if steps > 1 else ""
    return f"{draws * restored_count(context):,} restorations{each}"

"""Inputs of a model under evaluation: batches on its device, the condition that it accepts, observations of a likelihood.

Processes that share work share the batches.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasLikelihood
from simulacra.core.condition import UNCONDITIONAL, AcceptsCondition, Condition
from simulacra.core.device import model_device
from simulacra.core.family import model_condition
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.engine.distributed.shared_work import chunks_of, in_parts
from simulacra.runs.image_to_image.restoration import Degrader

BATCH = 250  # images


def in_batches(
    model: object, split: Split, compute: Callable[[int, Batch], Mapping[str, Tensor]], meter: Meter, size: int = BATCH
) -> dict[str, Tensor]:
    """Return what `compute` returns of all batches, concatenated by name; numbers become a tensor with one row for each batch.

    Batch k has `size` images, the last one fewer, on the model's device. The meter advances by the images of each.
    """
    device = model_device(model)

    def computed(rows: range) -> Mapping[str, Tensor]:
        batch = split.batch(np.arange(rows.start, rows.stop))
        return compute(rows.start // size, batch.to(device))

    parts: list[Mapping[str, Tensor]] = []
    for rows, part in in_parts(chunks_of(len(split), size), computed):
        parts.append(part)
        meter.advance(len(rows))
    return {name: torch.cat([torch.atleast_1d(part[name]) for part in parts]) for name in parts[0]}


def likelihood_condition(model: AcceptsCondition, batch: Batch) -> Condition:
    """Return the condition for latents and likelihoods: that of the batch, or none for models that define them without one."""
    return model_condition(model, batch) if model.conditional_likelihood else UNCONDITIONAL


def _degraded(batch: Batch, degrader: Degrader, start: int) -> Condition:
    found = degrader.degrade(batch.images.cpu(), start)
    return Condition(image=found.image, known=found.known).to(batch.images.device)


def given_fields(model: AcceptsCondition, split: Split, degrader: Degrader | None = None) -> tuple[str, ...]:
    """Return the names of the fields of the condition in `in_observations`."""
    first = split.head(1).to(model_device(model))
    return (likelihood_condition(model, first) if degrader is None else _degraded(first, degrader, 0)).given


def in_observations(  # noqa: PLR0917
    model: HasLikelihood,
    split: Split,
    seed: int,
    compute: Callable[[int, Tensor, Condition], Mapping[str, Tensor]],
    meter: Meter,
    degrader: Degrader | None = None,
) -> dict[str, Tensor]:
    """Return what `compute` returns of (number of the batch, observations [b c h w], condition), as `in_batches` does.

    Every metric gets the same draw (binary pixels, dequantized grey levels), which depends on the seed alone. degrader: degrades
    the images that are the condition; None: as the model derives them.
    """

    def computed(number: int, batch: Batch) -> Mapping[str, Tensor]:
        condition = likelihood_condition(model, batch) if degrader is None else _degraded(batch, degrader, number * BATCH)
        with stream(seed, "observe", number):
            observed = model.observe(batch.images, condition)
        return compute(number, observed, condition)

    return in_batches(model, split, computed, meter)

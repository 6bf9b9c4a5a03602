"""Inputs of a model under evaluation: batches on its device, the condition that it accepts, observations of a likelihood."""

from collections.abc import Iterator

from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasLikelihood
from simulacra.core.condition import UNCONDITIONAL, AcceptsCondition, Condition
from simulacra.core.device import model_device
from simulacra.core.family import model_condition
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.runs.image_to_image.restoration import Degrader

_CHUNK = 250  # images


def batches(model: object, split: Split, size: int = _CHUNK) -> Iterator[Batch]:
    """Yield a split in batches of `size` images on the model's device."""
    device = model_device(model)
    return (batch.to(device) for batch in split.chunks(size))


def likelihood_condition(model: AcceptsCondition, batch: Batch) -> Condition:
    """Return the condition for latents and likelihoods: that of the batch, or none for models that define them without one."""
    return model_condition(model, batch) if model.conditional_likelihood else UNCONDITIONAL


def _degraded(batch: Batch, degrader: Degrader, start: int) -> Condition:
    found = degrader.degrade(batch.images.cpu(), start)
    return Condition(image=found.image, known=found.known).to(batch.images.device)


def observations(
    model: HasLikelihood, split: Split, seed: int, degrader: Degrader | None = None
) -> Iterator[tuple[int, Tensor, Condition]]:
    """Yield (number of the chunk, observations [b c h w], condition) on the model's device.

    Every metric gets the same draw (binary pixels, dequantized grey levels), which depends on the seed alone. degrader: degrades
    the images that are the condition; None: as the model derives them.
    """
    for number, batch in enumerate(batches(model, split)):
        condition = likelihood_condition(model, batch) if degrader is None else _degraded(batch, degrader, number * _CHUNK)
        with stream(seed, "observe", number):
            observed = model.observe(batch.images, condition)
        yield number, observed, condition

"""Observations whose likelihood is measured: the same draw for every metric (binary pixels, dequantized grey levels)."""

from collections.abc import Iterator

from torch import Tensor

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.condition import Condition
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.statistics.placement import device_of, likelihood_condition, on_device

_CHUNK = 250  # images


def observations(model: HasLikelihood, split: Split, seed: int) -> Iterator[tuple[int, Tensor, Condition]]:
    """Yield (number of the chunk, observations [b c h w], condition) on the model's device; draws depend on the seed alone."""
    for number, batch in enumerate(on_device(split.chunks(_CHUNK), device_of(model))):
        condition = likelihood_condition(model, batch)
        with stream(seed, "observe", number):
            observed = model.observe(batch.images, condition)
        yield number, observed, condition

"""What is scored of a split: the same draw of every image (its binary pixels, its dequantized levels) for every metric."""

from collections.abc import Iterator

from torch import Tensor

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split

_CHUNK = 250


def observations(model: HasLikelihood, split: Split, seed: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (number, observations [b c h w]) of a split, piece by piece; the draw depends on the seed alone."""
    for number, batch in enumerate(split.chunks(_CHUNK)):
        with stream(seed, "observe", number):
            observed = model.observe(batch.images)
        yield number, observed

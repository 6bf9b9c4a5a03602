"""Training batches of a data set: in memory, streamed from shards, or of several domains."""

from simulacra.core.batch_source import UnpairedBatches
from simulacra.core.randomness import derive
from simulacra.data.batches import Batches
from simulacra.data.dataset import Dataset
from simulacra.data.shards.streamed import Streamed


def training_batches(
    data: Dataset, batch: int, seed: int, flip: bool = False, part: tuple[int, int] = (0, 1)
) -> Batches | Streamed | UnpairedBatches:
    """Return the training batches of `batch` images; of each, the slice of `part` = (rank, count) is returned.

    Several domains are drawn independently, each in its own random order, even if two of them have the same images. Raises
    UsageError for a batch that is larger than the data or cannot be shared equally.
    """
    if data.domains:
        return UnpairedBatches(
            {name: training_batches(own, batch, derive(seed, "domain", name), flip, part) for name, own in data.domains.items()}
        )
    if data.stream is not None:
        return Streamed(data.stream, batch, seed, flip, part)
    return Batches(data.train, batch, seed, flip, part)

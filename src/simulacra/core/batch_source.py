"""Sources of training batches: batch number i is a function of (seed, i)."""

from collections.abc import Mapping
from typing import Protocol

import torch

from simulacra.core.batch import Batch


class BatchSource(Protocol):
    """Numbered batches."""

    @property
    def size(self) -> int:
        """Images in one batch."""

    @property
    def per_epoch(self) -> int:
        """Batches in one pass over the images."""

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return batch number i; the same i gives the same batch."""


class UnpairedBatches:
    """Independent batches from several sources; an epoch is one pass over the largest."""

    def __init__(self, domains: Mapping[str, BatchSource]) -> None:
        self.domains = dict(domains)
        (self.size,) = {batch_source.size for batch_source in self.domains.values()}
        self.per_epoch = max(batch_source.per_epoch for batch_source in self.domains.values())

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return batch number i of every domain; `images` and `condition` are the first domain's."""
        batches = {name: batch_source.batch(i, device) for name, batch_source in self.domains.items()}
        first = next(iter(batches.values()))
        return Batch(first.images, first.condition, batches)

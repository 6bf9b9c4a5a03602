"""Where and how a family is computed: device, arithmetic, memory layout, processes, sharding."""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from simulacra.core.batch import Batch
from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.engine import sharding
from simulacra.engine.distributed.processes import Processes
from simulacra.engine.hardware import channels_last, device_of, precision_of
from simulacra.engine.settings import TrainConfig


@dataclass(frozen=True)
class Placement:
    """Device and precision of the networks, the processes, and the micro-batches of every batch that this process computes."""

    processes: Processes
    device: torch.device
    precision: torch.dtype
    micro_batches: range

    @classmethod
    def of(cls, settings: TrainConfig, processes: Processes) -> "Placement":
        """Return the placement that the settings ask for; raises UsageError where it is not possible."""
        device = device_of(settings.device)
        micro_batches = processes.micro_batches(settings.accumulate, settings.batch)
        return cls(processes, device, precision_of(settings.precision, device), micro_batches)

    @property
    def total_micro_batches(self) -> int:
        """Number of micro-batches of a batch, over all processes."""
        return len(self.micro_batches) * self.processes.count

    def place(self, family: Family, settings: TrainConfig) -> tuple[Family, Family | None, Family | None]:
        """Move a family to the device, with the same weights in all processes; return it and two copies.

        The first copy is for the moving average of its weights, None without one; the second, None unless the family is sharded,
        is a whole copy in main memory, for validation and sampling. Raises UsageError for sharding in a single process.
        """
        if settings.shard and self.processes.count == 1:
            raise UsageError("--shard needs several processes, and this is one: start it with torchrun, or use --no-shard")
        family = family.to(self.device)
        self.processes.equalize([tensor.detach() for tensor in (*family.parameters(), *family.buffers())])
        if self.processes.count > 1 and self.device.type == "cuda":
            family = nn.SyncBatchNorm.convert_sync_batchnorm(family)
        if not settings.shard:
            channels_last(family)
        ema = copy.deepcopy(family) if settings.ema else None
        if not settings.shard:
            return family, ema, None
        whole = copy.deepcopy(family).cpu()
        for module in (family, *([ema] if ema else [])):
            sharding.shard(module)
        return family, ema, whole

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which networks compute in the precision of the placement."""
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

    def split(self, batch: Batch) -> Iterator[tuple[int, Batch]]:
        """Yield the micro-batches of this process's part of a batch, numbered over all processes."""
        count = len(self.micro_batches)
        size = len(batch) // count
        for place, number in enumerate(self.micro_batches):
            yield number, (batch if count == 1 else batch.rows(slice(place * size, (place + 1) * size)))

"""The processes of one training: one, or several that torchrun started, each of which computes its share of every batch.

Numbers are exchanged here and nowhere else. All processes make the same calls in the same order.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.launch import launched

_PATIENCE = timedelta(hours=6)  # how long one may wait for another, which may be decoding a data set or validating
_LET_GO = 0.2  # seconds in which gloo's threads drop the last tensors; an interpreter that ends before is aborted by them
_OWN_RUN = "go on from the last checkpoint with 'simulacra resume'"

Result = TypeVar("Result")


class Abandoned(SimulacraError):
    """Another process of this training failed or was killed."""


@dataclass(frozen=True)
class Processes:
    """This process among `count`. Alone, every method is a plain computation."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    @property
    def part(self) -> tuple[int, int]:
        """Which part of every batch is this process's: (rank, count)."""
        return (self.rank, self.count)

    def pieces(self, accumulate: int, batch: int) -> range:
        """Return which of the pieces of a batch this process computes; raises UsageError where they cannot be shared evenly.

        There are `accumulate` pieces, or one for each process where that is 1.
        """
        total = accumulate if accumulate > 1 else self.count
        if total % self.count or batch % total:
            raise UsageError(
                f"a batch of {batch} in {total} pieces cannot be shared evenly by {self.count} processes: "
                f"choose an --accumulate that {self.count} divides, and a --batch that {total} divides"
            )
        share = total // self.count
        return range(self.rank * share, (self.rank + 1) * share)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over processes: float64, the shape of `values`; equal values stay exactly what they are."""
        return self._reduced(values.to(torch.float64, copy=True)) / self.count

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type by their means over processes, in one exchange."""
        if self.count == 1 or not tensors:
            return
        means = self._reduced(torch.cat([tensor.reshape(-1) for tensor in tensors])) / self.count
        for tensor, mean in zip(tensors, means.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def highest(self, *values: float) -> list[float]:
        """Return each value's maximum over processes, exchanged through main memory."""
        if self.count == 1:
            return list(values)
        return self._reduced(torch.tensor(values, dtype=torch.float64), dist.ReduceOp.MAX).tolist()

    def equalize(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if self.count > 1:
            for tensor in tensors:
                self._exchange(lambda tensor=tensor: dist.broadcast(tensor, 0))  # type: ignore[misc]

    def lead(self, work: Callable[[], Result]) -> Result | None:
        """Return what `work` gives in the first process; the others wait for it, and get None. If it fails, all do."""
        if not self.first:
            if self.highest(0.0)[0]:
                raise Abandoned("the first process failed: see its message")
            return None
        try:
            result = work()
        except BaseException:
            with suppress(Abandoned):
                self.highest(1.0)
            raise
        self.highest(0.0)
        return result

    def _reduced(self, values: Tensor, how: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        if self.count > 1:
            self._exchange(lambda: dist.all_reduce(values, how))
        return values

    def _exchange(self, call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as error:
            raise Abandoned(f"another process of this training has ended, so this one ends too: {_OWN_RUN}") from error


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that torchrun started, inside; without torchrun there is only this one.

    Numbers travel by gloo between CPUs and by NCCL between GPUs.
    """
    place = launched()
    if place.count == 1:
        yield ALONE
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(place.local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        processes = Processes(place.rank, place.count)
        yield processes
        processes.highest(0.0)  # nobody leaves while another still exchanges
    finally:
        time.sleep(_LET_GO)
        dist.destroy_process_group()

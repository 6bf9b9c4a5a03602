"""The processes of a training, each of which computes its part of every batch, and all communication between them.

One, or several that torchrun started; all make the same calls in the same order.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.launch import Launch, launched

_TIMEOUT = timedelta(hours=6)  # of one exchange; the first process may be decoding a data set or validating
_CLOSING = 0.2  # seconds for gloo's threads to release the last tensors; they abort an interpreter that exits before
_REMEDY = "continue from the last checkpoint with 'simulacra resume'"

Result = TypeVar("Result")


class Abandoned(SimulacraError):
    """Another process of this training failed or was killed."""


class Processes(Launch):
    """This process (`rank`) of `count`, of which the first writes files and reports progress; of one nothing is exchanged."""

    @property
    def part(self) -> tuple[int, int]:
        """The part of every batch that this process computes: (rank, count)."""
        return (self.rank, self.count)

    def micro_batches(self, accumulate: int, batch: int) -> range:
        """Return the numbers of the micro-batches of a batch that this process computes.

        There are `accumulate`, or one for each process if that is 1. Raises UsageError if they cannot be shared evenly.
        """
        total = accumulate if accumulate > 1 else self.count
        if total % self.count or batch % total:
            raise UsageError(
                f"a batch of {batch} in {total} micro-batches cannot be shared evenly by {self.count} processes: "
                f"choose an --accumulate that {self.count} divides, and a --batch that {total} divides"
            )
        share = total // self.count
        return range(self.rank * share, (self.rank + 1) * share)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over processes: float64, the shape of `values`; exact if the values are equal."""
        return self._reduced(values.to(torch.float64, copy=True)) / self.count

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type by their means over processes, in one all-reduce."""
        if self.count == 1 or not tensors:
            return
        means = self._reduced(torch.cat([tensor.reshape(-1) for tensor in tensors])) / self.count
        for tensor, mean in zip(tensors, means.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def highest(self, *values: float) -> list[float]:
        """Return the maximum of each value over processes, exchanged in main memory."""
        if self.count == 1:
            return list(values)
        return self._reduced(torch.tensor(values, dtype=torch.float64), dist.ReduceOp.MAX).tolist()

    def equalize(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if self.count > 1:
            for tensor in tensors:
                self._exchange(lambda tensor=tensor: dist.broadcast(tensor, 0))  # type: ignore[misc]

    def lead(self, work: Callable[[], Result]) -> Result | None:
        """Return the result of `work` in the first process; the others wait for it, and return None. If it fails, all fail."""
        if not self.first:
            if self.highest(0.0)[0]:
                raise Abandoned("the first process failed: see its error message")
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
            raise Abandoned(f"another process of this training has ended, so this one ends too: {_REMEDY}") from error


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Initialize the process group inside, if torchrun started several processes: gloo between CPUs, NCCL between GPUs."""
    place = launched()
    if place.count == 1:
        yield ALONE
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(place.local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_TIMEOUT)
    try:
        processes = Processes(place.rank, place.count)
        yield processes
        processes.highest(0.0)  # wait until all processes have finished their exchanges
    finally:
        time.sleep(_CLOSING)
        dist.destroy_process_group()

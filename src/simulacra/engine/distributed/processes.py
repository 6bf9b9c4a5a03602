"""The processes of a training or of another command, and all communication between them.

One, or several that torchrun started; all make the same calls in the same order.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.launch import Launch, alone

LOST_TRAINING = (
    "another process of this training has ended, so this one ends too: continue from the last checkpoint with 'simulacra resume'"
)
SHARED_FILES = "all processes need the same run folder and the same cache folder (SIMULACRA_CACHE), on a shared file system"
_FAILED = -1  # in place of the number of bytes of a result

Result = TypeVar("Result")


class Abandoned(SimulacraError):
    """Another process failed or was killed."""


@dataclass(frozen=True)
class Processes(Launch):
    """This process (`rank`) of `count`, of which the first writes files and reports progress; of one nothing is exchanged.

    lost: the error message where another process has ended.
    """

    lost: str = LOST_TRAINING

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

    def computes(self, number: int) -> bool:
        """Return whether this process computes the chunk of a number, of chunks that the processes compute in turn."""
        return number % self.count == self.rank

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
        """Return the result of `work` in the first process; the others wait for it, and return None. If it fails, all fail.

        `work` computes alone: it exchanges nothing.
        """
        if not self.first:
            if self.highest(0.0)[0]:
                raise Abandoned("the first process failed: see its error message")
            return None
        try:
            with alone():
                result = work()
        except BaseException:
            with suppress(Abandoned):
                self.highest(1.0)
            raise
        self.highest(0.0)
        return result

    def share(self, work: Callable[[], bytes]) -> list[bytes]:
        """Return the result of `work` of every process, by rank. If it fails in one, all fail."""
        try:
            own = work()
        except BaseException:
            with suppress(Abandoned):
                self._sizes(_FAILED)
            raise
        sizes = self._sizes(len(own))
        if _FAILED in sizes:
            raise Abandoned(f"process {sizes.index(_FAILED)} failed: see its error message")
        padded = torch.frombuffer(bytearray(own.ljust(max(*sizes, 1), b"\0")), dtype=torch.uint8)
        return [part.numpy().tobytes()[:size] for part, size in zip(self._gathered(padded), sizes, strict=True)]

    def from_first(self, work: Callable[[], Any]) -> Any:
        """Return in every process what `work` returns in the first: plain values for JSON. If it fails there, all fail."""
        if self.count == 1:
            return work()

        def first() -> bytes:
            with alone():
                return json.dumps(work()).encode()

        return json.loads(self.share(first if self.first else bytes)[0])

    def require_same(self, value: Any, what: str, remedy: str) -> None:
        """Raise SimulacraError in all processes unless `value`, of plain values for JSON, is the same in all."""
        if self.count == 1:
            return
        found = self.share(lambda: json.dumps(value).encode())
        if others := [rank for rank, other in enumerate(found) if other != found[0]]:
            raise SimulacraError(f"process {others[0]} has other {what} than the first process: {remedy}")

    def _sizes(self, own: int) -> list[int]:
        return [int(size) for size in self._gathered(torch.tensor([own]))]

    def _gathered(self, own: Tensor) -> list[Tensor]:
        """Return a tensor of every process, all of one shape and type, by rank."""
        found = [torch.empty_like(own) for _ in range(self.count)]
        self._exchange(lambda: dist.all_gather(found, own))
        return found

    def _reduced(self, values: Tensor, how: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        if self.count > 1:
            self._exchange(lambda: dist.all_reduce(values, how))
        return values

    def _exchange(self, call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as error:
            raise Abandoned(self.lost) from error


ALONE = Processes()

"""The rank of this process in distributed computation, from the environment variables of torchrun."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_alone: ContextVar[bool] = ContextVar("alone", default=False)


@dataclass(frozen=True)
class Launch:
    """Rank and number of processes; `local` is the rank on its own machine, and the index of its GPU."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0


def launched() -> Launch:
    """Return the rank of this process; rank 0 of 1 without torchrun or equivalent environment variables, and inside `alone`."""
    if _alone.get() or int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ:
        return Launch()
    return Launch(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def alone() -> Iterator[None]:
    """Compute inside as a single process, which exchanges nothing with the others that torchrun started."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)

"""The rank of this process in distributed training, from the environment variables of torchrun."""

import os
from dataclasses import dataclass


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
    """Return the rank of this process; rank 0 of 1 without torchrun or equivalent environment variables."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ:
        return Launch()
    return Launch(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", "0")))

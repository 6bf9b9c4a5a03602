"""What torchrun tells each process it starts, read from the environment alone."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """Which of how many processes this is; `local` counts on its own machine, and names its GPU."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0


def launched() -> Launch:
    """Return this process's place; the only one where torchrun (or what sets RANK and WORLD_SIZE as it does) is not used."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ:
        return Launch()
    return Launch(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", "0")))

"""What all tests share: one thread, since their tensors are tiny and several tests run side by side."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for processes that tests start

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute on one thread."""
    torch.set_num_threads(1)


class Count:
    """A meter that counts."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, amount: int = 1, **facts: str) -> None:
        """Add to the count."""
        self.done += amount


@pytest.fixture
def meter() -> Count:
    """Return a meter whose count is `done`."""
    return Count()

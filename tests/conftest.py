"""What all tests share: one thread, since their tensors are tiny and several tests run side by side."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for processes that tests start

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute on one thread."""
    torch.set_num_threads(1)

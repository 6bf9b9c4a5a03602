"""What the statistical tests share: one thread.

Each test fixes seed and n, and states its false-positive rate over seeds (1e-6 or less) and the smallest effect that it
detects (with a probability of 99.9 %, which takes three standard errors beyond the threshold).
"""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Compute on one thread: these networks are tiny, and the draws then depend on nothing but the seed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

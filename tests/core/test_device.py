"""Images per call: the caller's number on CPUs, a function of the card's memory on GPUs."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from simulacra.core.device import images_per_call, model_device

CUDA = torch.device("cuda")


def card(monkeypatch: pytest.MonkeyPatch, gib: int) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=gib * 2**30))


def test_a_cpu_takes_the_number_of_the_caller() -> None:
    assert images_per_call(torch.device("cpu"), 784, 250) == 250


@pytest.mark.parametrize(("gib", "values", "count"), [(80, 784, 4096), (4, 784, 256), (80, 3 * 256**2, 16), (8, 2**30, 1)])
def test_a_gpu_takes_the_largest_power_of_two_that_fits_a_quarter_of_its_memory(
    monkeypatch: pytest.MonkeyPatch, gib: int, values: int, count: int
) -> None:
    card(monkeypatch, gib)
    assert images_per_call(CUDA, values, 250) == count


def test_the_device_of_a_model_is_that_of_its_parameters() -> None:
    assert model_device(nn.Linear(2, 2)) == torch.device("cpu")

"""Flattening whose gradient keeps the layout of the features: same numbers as PyTorch's, whatever the order of the derivative."""

import pytest
import torch

from simulacra.networks.kernels.memory_layout import Flatten, Unflatten, aligned


def features(layout: torch.memory_format) -> torch.Tensor:
    values = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return values.contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_flattening_gives_the_stock_numbers_and_gradients_in_the_layout_of_the_features(layout: torch.memory_format) -> None:
    given = features(layout)
    found = Flatten()(given)
    assert torch.equal(found, given.flatten(1))
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(found, given, pull)
    assert torch.equal(gradient, pull.view_as(given))
    assert gradient.is_contiguous(memory_format=layout)


def test_gradients_of_gradients_pass_through_so_that_a_penalty_on_slopes_may() -> None:
    given = features(torch.channels_last)
    assert torch.autograd.gradcheck(Flatten(), given)
    assert torch.autograd.gradgradcheck(lambda values: Flatten()(values).pow(3), given)


def test_unflattening_gives_the_stock_numbers_in_channels_last_memory_and_gradients_as_they_were() -> None:
    values = torch.randn(3, 120, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = Unflatten(1, (4, 5, 6))(values)
    assert torch.equal(found, values.unflatten(1, (4, 5, 6)))
    assert found.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(found, values, found.detach().square())
    assert torch.equal(gradient, values.detach().square())


@pytest.mark.parametrize("values", [torch.ones(2, 3), torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 5).requires_grad_()], ids=str)
def test_what_needs_no_alignment_is_returned_itself(values: torch.Tensor) -> None:
    assert aligned(values) is values

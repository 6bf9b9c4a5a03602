"""Flatten and unflatten: PyTorch's values and gradients, in the right memory layout."""

import pytest
import torch

from simulacra.networks.kernels.memory_layout import Flatten, Unflatten, keep_gradient_layout


def features(layout: torch.memory_format, shape: tuple[int, int, int, int] = (3, 4, 5, 6)) -> torch.Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return values.contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_flatten_equals_pytorchs_and_its_gradient_has_the_layout_of_the_features(layout: torch.memory_format) -> None:
    given = features(layout)
    flat = Flatten()(given)
    assert torch.equal(flat, given.flatten(1))
    upstream = torch.randn(flat.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(flat, given, upstream)
    assert torch.equal(gradient, upstream.view_as(given))
    assert gradient.is_contiguous(memory_format=layout)


def test_second_derivatives_are_correct_as_gradient_penalties_need() -> None:
    given = features(torch.channels_last, (2, 3, 2, 3))
    assert torch.autograd.gradcheck(Flatten(), given)
    assert torch.autograd.gradgradcheck(lambda values: Flatten()(values).pow(3), given)


def test_unflatten_equals_pytorchs_in_channels_last_memory() -> None:
    values = torch.randn(3, 120, generator=torch.Generator().manual_seed(0)).requires_grad_()
    flat = Unflatten(1, (4, 5, 6))(values)
    assert torch.equal(flat, values.unflatten(1, (4, 5, 6)))
    assert flat.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(flat, values, flat.detach().square())
    assert torch.equal(gradient, values.detach().square())


@pytest.mark.parametrize("values", [torch.ones(2, 3), torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 5).requires_grad_()], ids=str)
def test_values_that_need_no_conversion_are_returned_as_they_are(values: torch.Tensor) -> None:
    assert keep_gradient_layout(values) is values

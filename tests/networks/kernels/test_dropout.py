"""Dropout: rounding of p, gradients, modes, memory layouts, dtypes, reproducibility."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.core.randomness import reseed
from simulacra.networks.kernels.dropout import Dropout


@given(st.floats(min_value=0, max_value=1, exclude_max=True))
def test_p_is_rounded_to_a_multiple_of_1_256_but_never_to_0_or_1(p: float) -> None:
    layer = Dropout(p)
    assert abs(layer.p - p) <= (1 / 512 if 1 / 512 <= p <= 511 / 512 else 1 / 256)
    assert (layer.p == 0) == (p == 0)
    assert layer.p < 1


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_p_outside_0_to_1_raises_value_error(p: float) -> None:
    with pytest.raises(ValueError, match=f"p is {p}"):
        Dropout(p)


def test_kept_values_are_divided_by_the_rounded_keep_probability() -> None:
    values = Dropout(0.3)(torch.ones(1000, dtype=torch.float64))
    assert set(values.tolist()) == {0.0, 256 / 179}


def test_the_gradient_is_the_mask_times_the_scale() -> None:
    inputs = torch.randn(7, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    outputs = Dropout(0.4)(inputs)
    upstream = torch.randn(outputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(outputs, inputs, upstream)
    torch.testing.assert_close(gradient, upstream * (outputs / inputs).detach(), rtol=1e-14, atol=0)


def test_second_derivatives_use_the_same_mask() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(20, dtype=torch.float64).requires_grad_()
    outputs = Dropout(0.5)(inputs) ** 2
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.sum(), inputs)
    assert torch.equal(curvature, torch.where(outputs == 0, 0.0, 2 * 2.0**2))


@pytest.mark.parametrize("layer", [Dropout(0.5).eval(), Dropout(0.0)], ids=["evaluation", "p = 0"])
def test_evaluation_mode_and_p_0_are_the_identity_and_draw_no_random_numbers(layer: Dropout) -> None:
    values, before = torch.randn(3, 4), torch.get_rng_state()
    assert layer(values) is values
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [(2, 3, 5, 7), (1,), (0, 4), ()], ids=str)
def test_the_output_has_the_shape_of_the_input(size: tuple[int, ...]) -> None:
    assert Dropout(0.5)(torch.ones(size)).shape == size


def test_channels_last_memory_stays_channels_last() -> None:
    images = torch.ones(4, 6, 5, 5).to(memory_format=torch.channels_last)
    dropped = Dropout(0.5)(images)
    assert dropped.stride() == images.stride()
    assert 0 < dropped.count_nonzero() < dropped.numel()


def test_a_non_contiguous_view_is_masked_value_by_value() -> None:
    whole = torch.ones(64, 64)
    dropped = Dropout(0.5)(whole[::2, ::3])
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(whole, torch.ones(64, 64))


def test_bfloat16_stays_bfloat16_under_autocast_and_rounds_once() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        dropped = Dropout(0.3)(values)
    expected = (values.double() * (256 / 179)).bfloat16()
    assert dropped.dtype == torch.bfloat16
    assert torch.equal(dropped, torch.where(dropped == 0, 0.0, expected))


def test_equal_seeds_give_equal_masks_and_other_seeds_give_others() -> None:
    def drawn(step: int) -> torch.Tensor:
        reseed(3, "step", step)
        return Dropout(0.5)(torch.ones(999))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))

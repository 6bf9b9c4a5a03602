"""Convolutions with `same` padding against Keras' definition in float64 NumPy, and the adjoint property."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, same_output_size, same_padding

KERNELS, STRIDES, SIZES = (3, 4, 5, 7), (1, 2, 3), ((8, 8), (7, 9), (6, 5))


def parameters(layer: SameConv2d | SameConvTranspose2d) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias as Keras stores them: [h w in out], or [h w out in] for the transposed convolution."""
    assert layer.conv.bias is not None
    torch.nn.init.normal_(layer.conv.bias)  # a zero bias would hide a missing or doubled addition
    return layer.conv.weight.detach().numpy().transpose(2, 3, 1, 0), layer.conv.bias.detach().numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_convolution_equals_keras(keras: Any, kernel: int, stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = SameConv2d(2, 3, kernel, stride).double()
    weight, bias = parameters(layer)
    images = torch.randn(2, 2, *size, dtype=torch.float64)
    expected = keras.conv(images.numpy().transpose(0, 2, 3, 1), weight, bias, stride)
    np.testing.assert_allclose(layer(images).detach().numpy().transpose(0, 2, 3, 1), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_transposed_convolution_equals_keras(keras: Any, kernel: int, stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = SameConvTranspose2d(3, 2, kernel, stride, size).double()
    weight, bias = parameters(layer)
    images = torch.randn(2, 3, *same_output_size(size, stride), dtype=torch.float64)
    expected = keras.conv_transpose(images.numpy().transpose(0, 2, 3, 1), weight, bias, stride, size)
    np.testing.assert_allclose(layer(images).detach().numpy().transpose(0, 2, 3, 1), expected, rtol=1e-11, atol=1e-12)


@given(
    kernel=st.integers(1, 7),
    stride=st.integers(1, 4),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_transposed_convolution_is_the_adjoint(
    kernel: int, stride: int, size: tuple[int, int], channels: tuple[int, int]
) -> None:
    kernel = max(kernel, stride)
    torch.manual_seed(0)
    down = SameConv2d(channels[0], channels[1], kernel, stride).double()
    up = SameConvTranspose2d(channels[1], channels[0], kernel, stride, size).double()
    up.conv.weight = down.conv.weight  # [out in h w] read as [in out h w]
    images = torch.randn(1, channels[0], *size, dtype=torch.float64)
    features = torch.randn(1, channels[1], *same_output_size(size, stride), dtype=torch.float64)
    left, right = (down(images) * features).sum(), (images * up(features)).sum()  # both biases are zero
    scale = images.abs().sum() * features.abs().sum() * down.conv.weight.abs().max()
    assert abs(left.item() - right.item()) <= 1e-14 * scale.item() + 1e-13


@given(size=st.integers(1, 300), kernel=st.integers(1, 11), stride=st.integers(1, 5))
def test_the_output_size_is_ceil_of_size_over_stride_and_the_larger_half_of_the_padding_comes_last(
    size: int, kernel: int, stride: int
) -> None:
    before, after = same_padding(size, kernel, stride)
    rows, _ = same_output_size((size, size), stride)
    assert 0 <= before <= after <= before + 1
    assert (size + before + after - kernel) // stride + 1 == rows == -(-size // stride)


def test_padding_of_an_even_input_at_stride_two_is_asymmetric() -> None:
    assert same_padding(28, 3, 2) == (0, 1)
    layer = SameConv2d(1, 1, 3, 2)
    torch.nn.init.zeros_(layer.conv.weight)
    layer.conv.weight.data[0, 0, 0, 0] = 1  # the kernel's first pixel alone: with padding (0, 1) it picks pixels 0, 2, 4, ...
    images = torch.arange(16.0).view(1, 1, 4, 4)
    assert layer(images).flatten().tolist() == [0, 2, 8, 10]


def test_channels_last_memory_gives_the_same_outputs() -> None:
    torch.manual_seed(0)
    layer = SameConv2d(3, 4, 3, 2)
    images = torch.randn(2, 3, 10, 7)
    expected = layer(images)
    got = layer.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_a_kernel_smaller_than_the_stride_raises_value_error() -> None:
    with pytest.raises(ValueError, match="kernel 2"):
        SameConvTranspose2d(1, 1, 2, 3, (9, 9))


def test_initial_weights_are_glorot_uniform_and_the_bias_is_zero() -> None:
    torch.manual_seed(0)
    layer = SameConv2d(32, 64, 3, 2)
    limit = (6 / (9 * 32 + 9 * 64)) ** 0.5
    assert layer.conv.weight.abs().max().item() <= limit
    # 18,432 draws: none lies in the outermost thousandth with probability 0.999^18432 = 1e-8
    assert layer.conv.weight.abs().max().item() > 0.999 * limit
    assert layer.conv.bias is not None
    assert not layer.conv.bias.any()

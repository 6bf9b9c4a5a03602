"""The faster transposed convolution against PyTorch's: outputs, gradients, second derivatives, memory layouts, autocast."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from simulacra.networks.kernels import transposed_convolution
from simulacra.networks.kernels.transposed_convolution import Crop, conv_transpose2d

# (input channels, output channels, kernel, stride, crop of the full output): the general and the single-channel implementation
SETTINGS: tuple[tuple[int, int, int, int, Crop], ...] = (
    (3, 2, 3, 2, ((0, 8), (1, 9))),
    (2, 3, 4, 2, ((1, 8), (1, 10))),
    (3, 2, 5, 1, ((2, 4), (2, 5))),
    (2, 1, 3, 2, ((0, 9), (0, 11))),
    (3, 1, 3, 1, ((1, 4), (1, 5))),
    (2, 1, 4, 1, ((1, 4), (2, 5))),
    (2, 1, 7, 1, ((0, 10), (0, 11))),
)
MORE: tuple[tuple[int, int, int, int, Crop], ...] = (
    (2, 3, 5, 2, ((0, 11), (2, 8))),
    (2, 6, 4, 2, ((1, 8), (1, 10))),  # too many output channels for a convolution onto 2x2 squares
)


@pytest.fixture(autouse=True, params=["fold", "additions"])
def col2im_implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with both implementations of col2im, whose choice depends on the size."""
    monkeypatch.setattr(transposed_convolution, "_MAX_FOLD_ELEMENTS", 10**9 if request.param == "fold" else 0)


@pytest.fixture(autouse=True)
def squares_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the convolution onto 2x2 squares for float64, too, which allows tight tolerances."""
    monkeypatch.setattr(transposed_convolution, "_PHASE_DTYPES", (torch.float32, torch.float64))


def tensors(inputs: int, outputs: int, kernel: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return features [2 i 4 5], weight and bias; all require gradients."""
    source = torch.Generator().manual_seed(0)
    shapes = ((2, inputs, 4, 5), (inputs, outputs, kernel, kernel), (outputs,))
    features, weight, bias = (torch.randn(shape, generator=source, dtype=dtype).requires_grad_() for shape in shapes)
    return features, weight, bias


def ours(operands: Sequence[Tensor], stride: int, crop: Crop) -> Tensor:
    features, weight, bias = operands
    return conv_transpose2d(features, weight, bias, stride, crop)


def reference(operands: Sequence[Tensor], stride: int, crop: Crop) -> Tensor:
    features, weight, bias = operands
    (top, height), (left, width) = crop
    return F.conv_transpose2d(features, weight, bias, stride)[..., top : top + height, left : left + width]


@pytest.mark.parametrize("setting", SETTINGS + MORE, ids=str)
def test_outputs_and_gradients_equal_those_of_pytorch(setting: tuple[int, int, int, int, Crop]) -> None:
    inputs, outputs, kernel, stride, crop = setting
    operands = tensors(inputs, outputs, kernel)
    expected, got = reference(operands, stride, crop), ours(operands, stride, crop)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients, references = (torch.autograd.grad(output, operands, upstream) for output in (got, expected))
    for left, right in zip(gradients, references, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("setting", SETTINGS[:1] + SETTINGS[3:5], ids=str)
def test_second_derivatives_are_correct_as_gradient_penalties_need(
    setting: tuple[int, int, int, int, Crop],
) -> None:
    inputs, outputs, kernel, stride, crop = setting
    operands = tensors(inputs, outputs, kernel)
    assert torch.autograd.gradcheck(lambda *items: ours(items, stride, crop), operands)
    assert torch.autograd.gradgradcheck(lambda *items: ours(items, stride, crop), operands)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_channels_last_memory_gives_the_same_outputs_and_gradients(setting: tuple[int, int, int, int, Crop]) -> None:
    inputs, outputs, kernel, stride, crop = setting
    features, weight, bias = tensors(inputs, outputs, kernel)
    layouts: list[Any] = []
    for layout in (torch.contiguous_format, torch.channels_last):
        operands = (features.detach().contiguous(memory_format=layout), weight.detach().contiguous(memory_format=layout), bias)
        leaves = tuple(item.detach().requires_grad_() for item in operands)
        output = ours(leaves, stride, crop)
        layouts.append((output, *torch.autograd.grad(output.square().sum(), leaves)))
    for left, right in zip(*layouts, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_autocast_computes_in_bfloat16_within_its_precision_and_keeps_gradients_in_float32(
    setting: tuple[int, int, int, int, Crop],
) -> None:
    inputs, outputs, kernel, stride, crop = setting
    operands = tensors(inputs, outputs, kernel, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        got = ours(operands, stride, crop)
    assert got.dtype == (torch.float32 if outputs == 1 and stride == 1 else torch.bfloat16)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(got.float(), operands, upstream)
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    expected = reference(operands, stride, crop)
    # bfloat16 has a relative rounding error of 2^-9, in both factors, the result and the bias; the same computation with
    # absolute values bounds its effect
    absolute = tuple(operand.detach().abs().requires_grad_() for operand in operands)
    bound = reference(absolute, stride, crop)
    pairs = [(got, expected, bound)]
    references, bounds = torch.autograd.grad(expected, operands, upstream), torch.autograd.grad(bound, absolute, upstream.abs())
    pairs += list(zip(gradients, references, bounds, strict=True))
    for left, right, size in pairs:
        assert ((left.float() - right).abs() <= 4 * 2**-9 * size).all()


@pytest.mark.parametrize("setting", SETTINGS[:1] + SETTINGS[3:5], ids=str)
def test_gradients_are_right_when_only_some_are_requested(setting: tuple[int, int, int, int, Crop]) -> None:
    inputs, outputs, kernel, stride, crop = setting
    features, weight, bias = tensors(inputs, outputs, kernel)
    frozen = conv_transpose2d(features, weight.detach(), bias.detach(), stride, crop)
    (to_features,) = torch.autograd.grad(frozen.sum(), features)
    (expected,) = torch.autograd.grad(reference((features, weight, bias), stride, crop).sum(), features)
    torch.testing.assert_close(to_features, expected)
    given = conv_transpose2d(features.detach(), weight, bias, stride, crop)
    assert [gradient.shape for gradient in torch.autograd.grad(given.sum(), (weight, bias))] == [weight.shape, bias.shape]
    with torch.inference_mode():
        torch.testing.assert_close(conv_transpose2d(features, weight, bias, stride, crop), given)

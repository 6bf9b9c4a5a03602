"""The faster convolution against PyTorch's: outputs, gradients, second derivatives, autocast, compilation."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from simulacra.networks.kernels import convolution
from simulacra.networks.kernels.convolution import ConvGeometry, conv2d, weight_gradient
from simulacra.networks.kernels.transposed_convolution import conv_transpose2d

# (input channels, output channels, kernel, geometry, height, width)
SETTINGS: tuple[tuple[int, int, int, ConvGeometry, int, int], ...] = (
    (3, 2, 4, ConvGeometry(2, (1, 1)), 8, 8),
    (2, 5, 3, ConvGeometry(2, (0, 1)), 9, 6),
    (4, 3, 3, ConvGeometry(1, (1, 1)), 4, 5),
    (2, 2, 5, ConvGeometry(3), 11, 13),
    (3, 2, 4, ConvGeometry(2), 5, 5),  # the last row and column belong to no patch
    (1, 3, 4, ConvGeometry(2, (1, 1)), 9, 6),
)


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the matrix product for float64, which allows tight tolerances."""
    monkeypatch.setattr(convolution, "_WIDE_DTYPES", (torch.float64,))
    monkeypatch.setattr(convolution, "_MIN_WEIGHTS", 1)
    monkeypatch.setattr(convolution, "_MIN_TERMS", 1)


def tensors(
    setting: tuple[int, int, int, ConvGeometry, int, int], dtype: torch.dtype = torch.float64, count: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    """Return images [count i h w] in channels-last memory, weight and bias; all require gradients."""
    inputs, outputs, kernel, _, height, width = setting
    source = torch.Generator().manual_seed(0)
    images = torch.randn(count, inputs, height, width, generator=source, dtype=dtype).contiguous(
        memory_format=torch.channels_last
    )
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=source, dtype=dtype)
    bias = torch.randn(outputs, generator=source, dtype=dtype)
    return images.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


def reference(operands: Sequence[Tensor], geometry: ConvGeometry) -> Tensor:
    images, weight, bias = operands
    return F.conv2d(images, weight, bias, geometry.stride, geometry.padding)


def uses_matrix_product(output: Tensor) -> bool:
    return "_Conv2d" in str(output.grad_fn)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_outputs_and_gradients_equal_those_of_pytorch(setting: tuple[int, int, int, ConvGeometry, int, int]) -> None:
    operands, geometry = tensors(setting), setting[3]
    got, expected = conv2d(*operands, geometry), reference(operands, geometry)
    assert uses_matrix_product(got)
    assert torch.equal(got, expected)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients, references = (torch.autograd.grad(output, operands, upstream) for output in (got, expected))
    for left, right in zip(gradients, references, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.long
@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("setting", SETTINGS[:2], ids=str)
def test_second_derivatives_are_correct_as_gradient_penalties_need(
    setting: tuple[int, int, int, ConvGeometry, int, int],
) -> None:
    operands, geometry = tensors(setting, count=1), setting[3]

    def convolved(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv2d(images.contiguous(memory_format=torch.channels_last), weight, bias, geometry)

    assert uses_matrix_product(convolved(*operands))
    assert torch.autograd.gradcheck(convolved, operands)
    assert torch.autograd.gradgradcheck(convolved, operands)


@pytest.mark.parametrize("setting", SETTINGS[:-1], ids=str)
def test_autocast_gives_pytorchs_output_and_gradients_within_bfloat16_rounding(
    setting: tuple[int, int, int, ConvGeometry, int, int],
) -> None:
    operands, geometry = tensors(setting, torch.float32), setting[3]
    with torch.autocast("cpu", torch.bfloat16):
        got, expected = conv2d(*operands, geometry), reference(operands, geometry)
    assert uses_matrix_product(got)
    assert torch.equal(got, expected)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(got.float(), operands, upstream)
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    # bfloat16 has a relative rounding error of 2^-9, in both factors and the result; the same computation with absolute values
    # bounds its effect
    absolute = tuple(operand.detach().abs().requires_grad_() for operand in operands)
    references = torch.autograd.grad(reference(operands, geometry), operands, upstream)
    bounds = torch.autograd.grad(reference(absolute, geometry), absolute, upstream.abs())
    for left, right, size in zip(gradients, references, bounds, strict=True):
        assert ((left - right).abs() <= 4 * 2**-9 * size).all()


@pytest.mark.parametrize(
    "changed",
    [{"side": 16}, {"inputs": 1}, {"kernel": 1}, {"precision": torch.float32}, {"layout": torch.contiguous_format}],
    ids=str,
)
def test_cases_in_which_the_product_is_slower_use_pytorchs_kernel(changed: dict[str, Any]) -> None:
    case = {"side": 8, "inputs": 2, "kernel": 4, "precision": torch.bfloat16, "layout": torch.channels_last}

    def convolved(side: int, inputs: int, kernel: int, precision: torch.dtype, layout: torch.memory_format) -> Tensor:
        images = torch.ones(2, inputs, side, side, dtype=precision).contiguous(memory_format=layout)
        weight = torch.ones(3, inputs, kernel, kernel, dtype=precision, requires_grad=True)
        return conv2d(images, weight, torch.ones(3, dtype=precision), ConvGeometry(2, (1, 1)))

    assert uses_matrix_product(convolved(**case))  # type: ignore[arg-type]
    assert not uses_matrix_product(convolved(**{**case, **changed}))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"inputs": 1, "side": 64}, True),
        ({"inputs": 1}, False),
        ({"side": 40}, False),
        ({"outputs": 8}, False),
        ({"kernel": 1}, False),
        ({"layout": torch.contiguous_format}, False),
    ],
    ids=str,
)
def test_in_float32_the_product_is_for_many_weights_or_one_channel(changed: dict[str, Any], expected: bool) -> None:
    case = {"side": 18, "inputs": 64, "outputs": 128, "kernel": 3, "layout": torch.channels_last, **changed}
    images = torch.ones(2, case["inputs"], case["side"], case["side"]).contiguous(memory_format=case["layout"])
    weight = torch.ones(case["outputs"], case["inputs"], case["kernel"], case["kernel"], requires_grad=True)
    assert uses_matrix_product(conv2d(images, weight, torch.ones(case["outputs"]), ConvGeometry(1))) == expected


def test_only_requested_weight_gradients_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator's loss passes through the discriminator, whose weight gradients are not requested."""
    computed = []

    def counted(images: Tensor, gradients: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
        computed.append(tuple(weight.shape))
        return weight_gradient(images, gradients, weight, geometry)

    monkeypatch.setattr("simulacra.networks.kernels.convolution.weight_gradient", counted)
    monkeypatch.setattr("simulacra.networks.kernels.transposed_convolution.weight_gradient", counted)
    images, weight, bias = tensors((3, 2, 4, ConvGeometry(2, (1, 1)), 8, 8), torch.bfloat16)
    back = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True)

    def down_and_up() -> Tensor:
        features = conv2d(images, weight, bias, ConvGeometry(2, (1, 1)))
        return conv_transpose2d(features, back, torch.zeros(3, dtype=torch.bfloat16), 2, ((1, 8), (1, 8))).sum()

    for inputs, expected in (
        ([images], []),
        ([weight], [(2, 3, 4, 4)]),
        ([back], [(2, 3, 4, 4)]),
        ([weight, back], [(2, 3, 4, 4)] * 2),
    ):
        computed.clear()
        torch.autograd.backward(down_and_up(), inputs=inputs)
        assert computed == expected
        computed.clear()
        torch.autograd.grad(down_and_up(), inputs)
        assert computed == expected


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_both_convolutions_compile_without_graph_breaks_to_those_of_pytorch(channels: int) -> None:
    images, weight, bias = tensors(SETTINGS[0], torch.float32)
    back = torch.randn(weight.shape[0], channels, 4, 4, requires_grad=True)

    def down_and_up(images: Tensor, weight: Tensor, back: Tensor) -> Tensor:
        features = conv2d(images, weight, bias, ConvGeometry(2, (1, 1)))
        return conv_transpose2d(features, back, torch.zeros(channels), 2, ((1, 8), (1, 8)))

    inputs = (images, weight, back)
    compiled = torch.compile(down_and_up, backend="aot_eager", fullgraph=True)
    gradients = [torch.autograd.grad(function(*inputs).square().sum(), inputs) for function in (down_and_up, compiled)]
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)

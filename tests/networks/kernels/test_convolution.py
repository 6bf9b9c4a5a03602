"""Convolutions whose weight gradient is a product of matrices against PyTorch's: values, gradients, their gradients, autocast."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from simulacra.networks.kernels import convolution
from simulacra.networks.kernels.convolution import Grid, conv2d, weight_gradient
from simulacra.networks.kernels.transposed_convolution import conv_transpose2d

# (input channels, output channels, kernel, grid, height, width)
SETTINGS: tuple[tuple[int, int, int, Grid, int, int], ...] = (
    (3, 2, 4, Grid(2, (1, 1)), 8, 8),
    (2, 5, 3, Grid(2, (0, 1)), 9, 6),
    (4, 3, 3, Grid(1, (1, 1)), 4, 5),
    (2, 2, 5, Grid(3), 11, 13),
    (3, 2, 4, Grid(2), 5, 5),  # a row and a column that nothing sees
)


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the product in float64, too, where it can be compared to the last digits."""
    monkeypatch.setattr(convolution, "_KINDS", (torch.float64,))


def tensors(setting: tuple[int, int, int, Grid, int, int], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return images [3 i h w] in channels-last memory, weight and bias, with gradients."""
    inputs, outputs, kernel, _, height, width = setting
    source = torch.Generator().manual_seed(0)
    images = torch.randn(3, inputs, height, width, generator=source, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=source, dtype=dtype)
    bias = torch.randn(outputs, generator=source, dtype=dtype)
    return images.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


def stock(operands: Sequence[Tensor], grid: Grid) -> Tensor:
    images, weight, bias = operands
    return F.conv2d(images, weight, bias, grid.stride, grid.padding)


def took_the_product(output: Tensor) -> bool:
    return "_Convolution" in str(output.grad_fn)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_outputs_and_gradients_equal_those_of_pytorch(setting: tuple[int, int, int, Grid, int, int]) -> None:
    operands, grid = tensors(setting), setting[3]
    got, expected = conv2d(*operands, grid), stock(operands, grid)
    assert took_the_product(got)
    assert torch.equal(got, expected)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients, wanted = (torch.autograd.grad(output, operands, upstream) for output in (got, expected))
    for left, right in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("setting", SETTINGS[:2], ids=str)
def test_gradients_of_gradients_are_right_so_that_a_penalty_on_slopes_may_pass_through(
    setting: tuple[int, int, int, Grid, int, int],
) -> None:
    operands, grid = tensors(setting), setting[3]

    def small(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv2d(images.contiguous(memory_format=torch.channels_last), weight, bias, grid)

    assert took_the_product(small(*operands))
    assert torch.autograd.gradcheck(small, operands)
    assert torch.autograd.gradgradcheck(small, operands)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_autocast_gives_the_stock_output_and_gradients_within_its_rounding(
    setting: tuple[int, int, int, Grid, int, int],
) -> None:
    operands, grid = tensors(setting, torch.float32), setting[3]
    with torch.autocast("cpu", torch.bfloat16):
        got, usual = conv2d(*operands, grid), stock(operands, grid)
    assert took_the_product(got)
    assert torch.equal(got, usual)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(got.float(), operands, upstream)
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    # bfloat16 rounds by 2^-9: both factors, and the result. What that amounts to is bounded by the same computation with the
    # absolute values of everything.
    absolute = tuple(operand.detach().abs().requires_grad_() for operand in operands)
    wanted = torch.autograd.grad(stock(operands, grid), operands, upstream)
    bounds = torch.autograd.grad(stock(absolute, grid), absolute, upstream.abs())
    for left, right, size in zip(gradients, wanted, bounds, strict=True):
        assert ((left - right).abs() <= 4 * 2**-9 * size).all()


@pytest.mark.parametrize(
    "changed",
    [{"side": 16}, {"inputs": 1}, {"kernel": 1}, {"precision": torch.float32}, {"layout": torch.contiguous_format}],
    ids=str,
)
def test_what_is_not_faster_takes_the_stock_way(changed: dict[str, Any]) -> None:
    case = {"side": 8, "inputs": 2, "kernel": 4, "precision": torch.bfloat16, "layout": torch.channels_last}

    def convolved(side: int, inputs: int, kernel: int, precision: torch.dtype, layout: torch.memory_format) -> Tensor:
        images = torch.ones(2, inputs, side, side, dtype=precision).contiguous(memory_format=layout)
        weight = torch.ones(3, inputs, kernel, kernel, dtype=precision, requires_grad=True)
        return conv2d(images, weight, torch.ones(3, dtype=precision), Grid(2, (1, 1)))

    assert took_the_product(convolved(**case))  # type: ignore[arg-type]
    assert not took_the_product(convolved(**{**case, **changed}))


def test_weight_gradients_are_computed_only_where_a_pass_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyTorch's own layers: the loss of one player runs through the weights of another, whose gradients nobody wants."""
    computed = []

    def counted(images: Tensor, gradients: Tensor, weight: Tensor, grid: Grid) -> Tensor:
        computed.append(tuple(weight.shape))
        return weight_gradient(images, gradients, weight, grid)

    monkeypatch.setattr("simulacra.networks.kernels.convolution.weight_gradient", counted)
    monkeypatch.setattr("simulacra.networks.kernels.transposed_convolution.weight_gradient", counted)
    images, weight, bias = tensors((3, 2, 4, Grid(2, (1, 1)), 8, 8), torch.bfloat16)
    back = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True)

    def there_and_back() -> Tensor:
        features = conv2d(images, weight, bias, Grid(2, (1, 1)))
        return conv_transpose2d(features, back, torch.zeros(3, dtype=torch.bfloat16), 2, ((1, 8), (1, 8))).sum()

    for inputs, expected in (
        ([images], []),
        ([weight], [(2, 3, 4, 4)]),
        ([back], [(2, 3, 4, 4)]),
        ([weight, back], [(2, 3, 4, 4)] * 2),
    ):
        computed.clear()
        torch.autograd.backward(there_and_back(), inputs=inputs)
        assert computed == expected
        computed.clear()
        torch.autograd.grad(there_and_back(), inputs)
        assert computed == expected


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # PyTorch's own, in tracing
@pytest.mark.slow
def test_both_ways_compile_as_one_graph() -> None:
    images, weight, bias = tensors(SETTINGS[0], torch.bfloat16)

    def there_and_back(images: Tensor, weight: Tensor) -> Tensor:
        features = conv2d(images, weight, bias, Grid(2, (1, 1)))
        return conv_transpose2d(features, weight, torch.zeros(3, dtype=torch.bfloat16), 2, ((1, 8), (1, 8)))

    compiled = torch.compile(there_and_back, backend="aot_eager", fullgraph=True)
    gradients = [torch.autograd.grad(way(images, weight).float().sum(), (images, weight)) for way in (there_and_back, compiled)]
    for left, right in zip(*gradients, strict=True):
        assert torch.equal(left, right)

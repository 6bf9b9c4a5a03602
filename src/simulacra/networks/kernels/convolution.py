"""Convolutions with a shorter way back: same parameters and outputs as PyTorch's, gradients equal up to rounding.

On CPUs in bfloat16 the stock kernel is slow at the gradient of a weight where feature maps are small: over 4x4 pixels a product
of matrices, gradients times the patches that each of them saw, takes a third to a tenth of its time.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALL = 6  # pixels in a row of the output, up to which the product is the faster way
_KINDS = (torch.bfloat16,)  # types in which it is


class Grid(NamedTuple):
    """Where a convolution looks: every `stride` pixels, `padding` (above and below, left and right) pixels of zeros around."""

    stride: int
    padding: tuple[int, int] = (0, 0)


def conv2d(images: Tensor, weight: Tensor, bias: Tensor, grid: Grid) -> Tensor:
    """Return the convolution [b o h' w'] of images [b i h w] with weight [o i k k] and bias [o].

    Computes in autocast's type where autocast is on.
    """
    device = images.device.type
    kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else images.dtype
    width = (images.shape[-1] + 2 * grid.padding[1] - weight.shape[-1]) // grid.stride + 1
    if not _by_product(images, weight, width, kind):
        return F.conv2d(images, weight, bias, grid.stride, grid.padding)
    operands = images.to(kind), weight.to(kind), bias.to(kind)
    convolved: Tensor = _Convolution.apply(*operands, grid)  # type: ignore[no-untyped-call]
    return convolved


def weight_gradient(images: Tensor, gradients: Tensor, weight: Tensor, grid: Grid) -> Tensor:
    """Return the gradient of the weight [o i k k] of a convolution of images [b i h w] from those of its output [b o h' w']."""
    if not _by_product(images, weight, gradients.shape[-1], images.dtype):
        return _stock_gradients(gradients, images, weight, grid, [False, True, False])[1]
    outputs, inputs, kernel, _ = weight.shape
    product = _rows(gradients).t().contiguous() @ _patches(images, kernel, grid)
    return product.view(outputs, kernel, kernel, inputs).permute(0, 3, 1, 2)


def wanted(ctx: Any, count: int) -> list[bool]:
    """Return of the tensors that a function was given, `count` at its head, whether this pass backward asks for their gradients.

    `needs_input_grad` says which could be asked for. Where the loss of one player runs through the layers of another, the weights
    there could, and are not; PyTorch's own functions leave these gradients out, too. Compiled code computes all that could be.
    """
    if torch.compiler.is_compiling():
        return list(ctx.needs_input_grad[:count])
    return [node is not None and _asked(node) for node, _ in ctx.next_functions[:count]]


def _asked(node: Any) -> bool:
    try:
        return bool(torch._C._will_engine_execute_node(node))
    except (AttributeError, RuntimeError):  # not known; or a leaf that autograd.grad() was asked for by name
        return True


class _Convolution(torch.autograd.Function):
    """The stock convolution, whose weight's gradient is a product."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, grid: Grid) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.grid = grid
        return F.conv2d(images, weight, bias, grid.stride, grid.padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (images, weight), (gradient,) = ctx.saved_tensors, gradients
        images_too, weight_too, bias_too = wanted(ctx, 3)
        to_images = _stock_gradients(gradient, images, weight, ctx.grid, [True, False, False])[0] if images_too else None
        to_weight = weight_gradient(images, gradient, weight, ctx.grid) if weight_too else None
        return to_images, to_weight, _rows(gradient).sum(0) if bias_too else None, None


def _by_product(images: Tensor, weight: Tensor, width: int, kind: torch.dtype) -> bool:
    """Return whether the product is the faster way for an output of this width."""
    return (
        images.device.type == "cpu"
        and kind in _KINDS
        and width <= _SMALL
        and min(weight.shape[1:]) > 1
        and images.is_contiguous(memory_format=torch.channels_last)
    )


def _stock_gradients(
    gradients: Tensor, images: Tensor, weight: Tensor, grid: Grid, which: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    settings = (None, [grid.stride] * 2, list(grid.padding), [1, 1], False, [0, 0], 1, which)
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(gradients, images, weight, *settings)
    return found


def _rows(features: Tensor) -> Tensor:
    """Return features [b c h w] as one row a pixel: [b*h*w c]."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def _patches(images: Tensor, kernel: int, grid: Grid) -> Tensor:
    """Return what each output pixel sees as a row: [b*h'*w' k*k*i]; in channels-last memory k pixels are copied at once."""
    above, beside = grid.padding
    padded = F.pad(images, (beside, beside, above, above)) if any(grid.padding) else images
    windows = padded.permute(0, 2, 3, 1).unfold(1, kernel, grid.stride).unfold(2, kernel, grid.stride)  # [b h' w' i k k]
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)

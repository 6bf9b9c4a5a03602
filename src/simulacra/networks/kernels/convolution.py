"""2D convolution with a faster weight gradient on CPUs; outputs equal PyTorch's, gradients agree up to rounding.

PyTorch's CPU kernel computes the weight gradient slowly for small feature maps: in bfloat16 over outputs of 4x4 pixels, the
matrix product of output gradients and unfolded input patches takes between a third and a tenth of its time. In float32 the
product is faster for many weights and few output pixels in a batch, and for one input channel.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_MAX_PRODUCT_WIDTH = 6  # pixels: in bfloat16 the matrix product is faster up to this output width
_PRODUCT_DTYPES = (torch.bfloat16,)  # dtypes to which this width applies
_WIDE_DTYPES = (torch.float32,)  # dtypes to which the following limits apply
_MIN_WEIGHTS, _MAX_PIXELS = 65_536, 2048  # the product is 1.3 to 2.5 times as fast for more weights and fewer output pixels
_MIN_TERMS = 8_000_000  # for one input channel and more weights x output pixels than this it is 3.5 to 4.5 times as fast,
_MAX_PIXELS_OF_ONE_CHANNEL = 131_072  # measured up to this many output pixels; below, the whole step is not faster


class ConvGeometry(NamedTuple):
    """Stride and zero padding of a convolution, in pixels; padding is (top and bottom, left and right)."""

    stride: int
    padding: tuple[int, int] = (0, 0)

    def output_size(self, images: Tensor, weight: Tensor) -> tuple[int, int]:
        """Return the size (height, width) of the output for images [b i h w] and weight [o i k k]."""
        height, width = (
            (side + 2 * padding - weight.shape[-1]) // self.stride + 1
            for side, padding in zip(images.shape[-2:], self.padding, strict=True)
        )
        return height, width


def conv2d(images: Tensor, weight: Tensor, bias: Tensor, geometry: ConvGeometry) -> Tensor:
    """Apply a 2D convolution.

    Shapes: images [b i h w], weight [o i k k], bias [o]; returns [b o h' w']. Under autocast the computation and the result
    have autocast's dtype. torch.compile generates slow code for the patches of the product, so it gets PyTorch's convolution.
    """
    device = images.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else images.dtype
    if torch.compiler.is_compiling() or not _product_is_faster(images, weight, geometry.output_size(images, weight), dtype):
        return F.conv2d(images, weight, bias, geometry.stride, geometry.padding)
    operands = images.to(dtype), weight.to(dtype), bias.to(dtype)
    return _Conv2d.apply(*operands, geometry)  # type: ignore[no-untyped-call]


def weight_gradient(images: Tensor, gradients: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """Return the weight gradient [o i k k] of a convolution of images [b i h w], given its output gradients [b o h' w']."""
    height, width = gradients.shape[-2:]
    if not _product_is_faster(images, weight, (height, width), images.dtype):
        return _aten_gradients(gradients, images, weight, geometry, [False, True, False])[1]
    outputs, inputs, kernel, _ = weight.shape
    patches = _unfold(images, kernel, geometry)
    if inputs == 1:  # the longer side first: up to twice as fast
        return (patches.t() @ _pixel_rows(gradients)).t().reshape(weight.shape)
    product = _pixel_rows(gradients).t().contiguous() @ patches
    return product.view(outputs, kernel, kernel, inputs).permute(0, 3, 1, 2)


def requested_gradients(ctx: Any, count: int) -> list[bool]:
    """Return which of the first `count` inputs of an autograd function need a gradient in the current backward pass.

    `ctx.needs_input_grad` is true for every input that requires grad, even if `torch.autograd.grad` does not ask for it: a
    generator's loss passes through the discriminator's layers, whose weight gradients are not requested. PyTorch's own functions
    skip these, too.
    """
    return [node is not None and _will_execute(node) for node, _ in ctx.next_functions[:count]]


def _will_execute(node: Any) -> bool:
    try:
        return bool(torch._C._will_engine_execute_node(node))
    except (AttributeError, RuntimeError):  # unavailable in this build; or a leaf named in the inputs of autograd.grad()
        return True


class _Conv2d(torch.autograd.Function):
    """PyTorch's convolution with the weight gradient of `weight_gradient`."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, geometry: ConvGeometry) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = geometry
        return F.conv2d(images, weight, bias, geometry.stride, geometry.padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (images, weight), (gradient,) = ctx.saved_tensors, gradients
        needs_images, needs_weight, needs_bias = requested_gradients(ctx, 3)
        to_images = _aten_gradients(gradient, images, weight, ctx.geometry, [True, False, False])[0] if needs_images else None
        to_weight = weight_gradient(images, gradient, weight, ctx.geometry) if needs_weight else None
        return to_images, to_weight, _pixel_rows(gradient).sum(0) if needs_bias else None, None


def _product_is_faster(images: Tensor, weight: Tensor, size: tuple[int, int], dtype: torch.dtype) -> bool:
    """Return whether the weight gradient is computed as a matrix product; size: (height, width) of the output."""
    if images.device.type != "cpu" or weight.shape[-1] == 1 or not images.is_contiguous(memory_format=torch.channels_last):
        return False
    if dtype in _PRODUCT_DTYPES:
        return size[1] <= _MAX_PRODUCT_WIDTH and weight.shape[1] > 1
    pixels, weights = len(images) * size[0] * size[1], weight.numel()
    if weight.shape[1] == 1:
        is_faster = pixels <= _MAX_PIXELS_OF_ONE_CHANNEL and pixels * weights >= _MIN_TERMS
    else:
        is_faster = pixels <= _MAX_PIXELS and weights >= _MIN_WEIGHTS
    return dtype in _WIDE_DTYPES and is_faster


def _aten_gradients(
    gradients: Tensor, images: Tensor, weight: Tensor, geometry: ConvGeometry, mask: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return PyTorch's gradients of images, weight and bias; `mask` selects the ones that are computed."""
    arguments = (None, [geometry.stride] * 2, list(geometry.padding), [1, 1], False, [0, 0], 1, mask)
    return torch.ops.aten.convolution_backward(gradients, images, weight, *arguments)


def _pixel_rows(features: Tensor) -> Tensor:
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def _unfold(images: Tensor, kernel: int, geometry: ConvGeometry) -> Tensor:
    """Return each output pixel's input patch as a row [b*h'*w' k*k*i] (im2col): k contiguous copies in channels-last memory."""
    vertical, horizontal = geometry.padding
    padded = F.pad(images, (horizontal, horizontal, vertical, vertical)) if any(geometry.padding) else images
    stride = geometry.stride
    windows = padded.permute(0, 2, 3, 1).unfold(1, kernel, stride).unfold(2, kernel, stride)  # [b h' w' i k k]
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)

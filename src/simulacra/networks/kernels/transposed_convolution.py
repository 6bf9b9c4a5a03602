"""2D transposed convolution, several times faster than PyTorch's on CPUs, with the same parameters and outputs.

PyTorch's CPU layer is slow in three cases that generators and decoders need: in bfloat16 with a bias and stride 2 it uses a
reference kernel; its backward pass is slower than that of the equivalent convolution; and it pads a single output channel to 16.
Here the bias is added separately, gradients are computed as those of the convolution, and a single output channel with stride 1
is a matrix product followed by col2im. With stride 2 and few output channels, which PyTorch pads, the output in float32 is a
convolution of stride 1 onto the four pixels of each 2x2 square, and a pixel shuffle. Devices other than CPUs and
compiled networks use PyTorch's layer.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from simulacra.networks.kernels.convolution import ConvGeometry, requested_gradients, weight_gradient

_MAX_FOLD_ELEMENTS = 400_000  # up to this size one call of F.fold is faster than one addition per kernel position
_PHASE_DTYPES = (torch.float32,)  # dtypes for which the convolution onto 2x2 squares is faster, and up to how many channels
_MAX_PHASE_CHANNELS = 4  # 1.5 to 2.6 times as fast for one to three output channels, not faster for 32 and more
Crop = tuple[tuple[int, int], tuple[int, int]]
"""The part of the full output that is returned: (rows, columns), each (first pixel, number of pixels)."""


def conv_transpose2d(features: Tensor, weight: Tensor, bias: Tensor, stride: int, crop: Crop) -> Tensor:
    """Apply a 2D transposed convolution and crop its output.

    Shapes: features [b i h w], weight [i o k k], bias [o]; returns [b o rows columns] of `crop`. Under autocast the computation
    has autocast's dtype; with a single output channel and stride 1 the result is float32 then.
    """
    if features.device.type != "cpu" or torch.compiler.is_compiling():
        return _crop(F.conv_transpose2d(features, weight, bias, stride), crop)
    if torch.is_autocast_enabled("cpu"):
        features, weight = features.to(torch.get_autocast_dtype("cpu")), weight.to(torch.get_autocast_dtype("cpu"))
    if weight.shape[1] == 1 and stride == 1:
        image: Tensor = _SingleChannelConvTranspose2d.apply(features, weight, crop)  # type: ignore[no-untyped-call]
        return image + bias
    images: Tensor = _ConvTranspose2d.apply(features, weight, stride, crop)  # type: ignore[no-untyped-call]
    return _add_bias(images, bias.to(images.dtype))


class _ConvTranspose2d(torch.autograd.Function):
    """Transposed convolution without a bias; its backward pass is a convolution and a convolution's weight gradient."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: int, crop: Crop) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.crop = stride, crop
        if stride == 2 and weight.shape[1] <= _MAX_PHASE_CHANNELS and features.dtype in _PHASE_DTYPES:
            return _crop(_onto_squares(features, weight), crop)
        return _crop(F.conv_transpose2d(features, weight, stride=stride), crop)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        full = _pad_to_full(grads[0], features, weight, ctx.stride, ctx.crop)
        needs_features, needs_weight = requested_gradients(ctx, 2)
        to_features = F.conv2d(full, weight, stride=ctx.stride) if needs_features else None
        to_weight = weight_gradient(full, features, weight, ConvGeometry(ctx.stride)) if needs_weight else None
        return to_features, to_weight, None, None


class _SingleChannelConvTranspose2d(torch.autograd.Function):
    """Stride 1, one output channel: a matrix product from i channels to k*k kernel positions, then col2im."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, crop: Crop) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.crop = crop
        batch, channels, height, width = features.shape
        kernel = weight.shape[-1]
        pixels = features.permute(0, 2, 3, 1).reshape(-1, channels)
        columns = weight.reshape(channels, kernel**2).t() @ pixels.t()
        full = _col2im(columns.view(-1, batch, height, width), kernel)
        return _crop(full, crop).contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        full = _pad_to_full(grads[0].to(features.dtype), features, weight, 1, ctx.crop)
        arguments = (None, [1, 1], [0, 0], [1, 1], True, [0, 0], 1, [*requested_gradients(ctx, 2), False])
        to_features, to_weight, _ = torch.ops.aten.convolution_backward(full, features, weight, *arguments)
        return to_features, to_weight, None


def _onto_squares(features: Tensor, weight: Tensor) -> Tensor:
    """Return the full output of a transposed convolution of stride 2, with up to one more row and column of zeros.

    Pixel (2m + r, 2n + s) is the sum of features (m - d, n - e) times weights (2d + r, 2e + s): a convolution for each (r, s).
    """
    inputs, outputs, kernel, _ = weight.shape
    taps = -(-kernel // 2)
    even = F.pad(weight, (0, 2 * taps - kernel) * 2).view(inputs, outputs, taps, 2, taps, 2).flip(2, 4)
    squares = even.permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, taps, taps)
    layout = torch.channels_last if features.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    images = F.conv2d(features, squares.contiguous(memory_format=layout), padding=taps - 1).permute(0, 2, 3, 1)
    batch, height, width, _ = images.shape
    pixels = images.unflatten(3, (2, 2, outputs)).transpose(2, 3)  # [b height 2 width 2 o], of which the copy is in this order
    return pixels.reshape(batch, 2 * height, 2 * width, outputs).permute(0, 3, 1, 2)


def _col2im(columns: Tensor, kernel: int) -> Tensor:
    """Sum columns [k*k b h w], each shifted to its kernel position: [b 1 h+k-1 w+k-1], in float32 or float64."""
    _, batch, height, width = columns.shape
    size, dtype = (height + kernel - 1, width + kernel - 1), torch.promote_types(columns.dtype, torch.float32)
    if columns.numel() < _MAX_FOLD_ELEMENTS:
        return F.fold(columns.to(dtype).flatten(2).transpose(0, 1), size, kernel)
    full = columns.new_zeros(batch, 1, *size, dtype=dtype)
    for position, shifted in enumerate(columns):
        row, column = divmod(position, kernel)
        full[:, 0, row : row + height, column : column + width] += shifted
    return full


def _crop(full: Tensor, crop: Crop) -> Tensor:
    (top, height), (left, width) = crop
    return full[..., top : top + height, left : left + width]


def _pad_to_full(images: Tensor, features: Tensor, weight: Tensor, stride: int, crop: Crop) -> Tensor:
    """Pad images with zeros where the full output was cropped: the adjoint of `_crop`."""
    pads: list[int] = []
    for axis, (first, length) in ((-1, crop[1]), (-2, crop[0])):
        full = (features.shape[axis] - 1) * stride + weight.shape[axis]
        pads += [first, full - first - length]
    return F.pad(images, pads) if any(pads) else images


def _add_bias(images: Tensor, bias: Tensor) -> Tensor:
    """Add bias [c] to images [b c h w]; in channels-last memory by whole rows, 1.4 times as fast as broadcasting."""
    batch, channels, height, width = images.shape
    if images.stride(1) != 1:
        return images + bias[:, None, None]
    rows = images.permute(0, 2, 3, 1).flatten(2)
    return (rows + bias.repeat(width)).view(batch, height, width, channels).permute(0, 3, 1, 2)

"""Transposed convolutions by the shorter way: same parameters and outputs as PyTorch's, several times faster on CPUs.

On CPUs the stock layer is slow where generators and decoders need it most. With a bias and stride 2 it falls back to a
reference kernel in bfloat16; its backward is slower than that of the convolution it is the adjoint of; and one output channel
is padded to sixteen. So the bias is added apart, gradients are computed as those of the plain convolution, and a
one-channel output is a matrix product followed by shifted additions. On other devices the stock layer is used.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from simulacra.networks.kernels.convolution import Grid, wanted, weight_gradient

_FEW = 400_000  # numbers that one call adds up in less time than a call for each tap takes to begin
Crop = tuple[tuple[int, int], tuple[int, int]]  # (rows, columns), each (first pixel, length) within the full output


def conv_transpose2d(features: Tensor, weight: Tensor, bias: Tensor, stride: int, crop: Crop) -> Tensor:
    """Return the transposed convolution of features [b i h w] with weight [i o k k], cropped: [b o crop_h crop_w].

    Computes in autocast's type where autocast is on; a one-channel output is float32 then.
    """
    if features.device.type != "cpu":
        return _cropped(F.conv_transpose2d(features, weight, bias, stride), crop)
    if torch.is_autocast_enabled("cpu"):
        features, weight = features.to(torch.get_autocast_dtype("cpu")), weight.to(torch.get_autocast_dtype("cpu"))
    if weight.shape[1] == 1 and stride == 1:
        image: Tensor = _ToOneChannel.apply(features, weight, crop)  # type: ignore[no-untyped-call]
        return image + bias
    images: Tensor = _Adjoint.apply(features, weight, stride, crop)  # type: ignore[no-untyped-call]
    return _add_bias(images, bias.to(images.dtype))


class _Adjoint(torch.autograd.Function):
    """The adjoint of a convolution of this stride; its gradients are the convolution and the convolution's weight gradient."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: int, crop: Crop) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.crop = stride, crop
        return _cropped(F.conv_transpose2d(features, weight, stride=stride), crop)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        full = _uncropped(grads[0], features, weight, ctx.stride, ctx.crop)
        features_too, weight_too = wanted(ctx, 2)
        to_features = F.conv2d(full, weight, stride=ctx.stride) if features_too else None
        to_weight = weight_gradient(full, features, weight, Grid(ctx.stride)) if weight_too else None
        return to_features, to_weight, None, None


class _ToOneChannel(torch.autograd.Function):
    """Stride 1, one output channel: a product from i channels to k*k taps, then each tap added in its place."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, crop: Crop) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.crop = crop
        batch, channels, height, width = features.shape
        kernel = weight.shape[-1]
        pixels = features.permute(0, 2, 3, 1).reshape(-1, channels)
        taps = weight.reshape(channels, kernel**2).t() @ pixels.t()
        full = _spread(taps.view(-1, batch, height, width), kernel)
        return _cropped(full, crop).contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        full = _uncropped(grads[0].to(features.dtype), features, weight, 1, ctx.crop)
        settings = (None, [1, 1], [0, 0], [1, 1], True, [0, 0], 1, [*wanted(ctx, 2), False])
        to_features, to_weight, _ = torch.ops.aten.convolution_backward(full, features, weight, *settings)
        return to_features, to_weight, None


def _spread(taps: Tensor, kernel: int) -> Tensor:
    """Return the sums [b 1 h+k-1 w+k-1], in float32 at least, of taps [k*k b h w], each added in its place."""
    _, batch, height, width = taps.shape
    size, kind = (height + kernel - 1, width + kernel - 1), torch.promote_types(taps.dtype, torch.float32)
    if taps.numel() < _FEW:
        return F.fold(taps.to(kind).flatten(2).transpose(0, 1), size, kernel)
    full = taps.new_zeros(batch, 1, *size, dtype=kind)
    for place, tap in enumerate(taps):
        row, column = divmod(place, kernel)
        full[:, 0, row : row + height, column : column + width] += tap
    return full


def _cropped(full: Tensor, crop: Crop) -> Tensor:
    (top, height), (left, width) = crop
    return full[..., top : top + height, left : left + width]


def _uncropped(images: Tensor, features: Tensor, weight: Tensor, stride: int, crop: Crop) -> Tensor:
    """Return images with zeros where the full output was cropped."""
    pads: list[int] = []
    for axis, (first, length) in ((-1, crop[1]), (-2, crop[0])):
        full = (features.shape[axis] - 1) * stride + weight.shape[axis]
        pads += [first, full - first - length]
    return F.pad(images, pads) if any(pads) else images


def _add_bias(images: Tensor, bias: Tensor) -> Tensor:
    """Return images [b c h w] plus bias [c]; in channels-last memory whole rows are added at once, 1.4x a broadcast."""
    batch, channels, height, width = images.shape
    if images.stride(1) != 1:
        return images + bias[:, None, None]
    rows = images.permute(0, 2, 3, 1).flatten(2)
    return (rows + bias.repeat(width)).view(batch, height, width, channels).permute(0, 3, 1, 2)

"""Convolutions with Keras' `same` padding, at any image size.

A strided convolution maps n pixels to ceil(n / stride). What must be padded for that can be odd, and then Keras puts the
larger half at the bottom and the right; the transposed convolution is the exact adjoint, so it crops there.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.networks.kernels.convolution import Grid, conv2d
from simulacra.networks.kernels.transposed_convolution import conv_transpose2d


def halved(size: tuple[int, int], stride: int = 2) -> tuple[int, int]:
    """Return the size (height, width) that a `same` convolution of this stride produces: ceil(n / stride)."""
    return (-(-size[0] // stride), -(-size[1] // stride))


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the pixels to pad before and after one axis of `size` pixels.

    >>> same_padding(28, 3, 2), same_padding(7, 3, 2), same_padding(28, 3, 1)
    ((0, 1), (1, 1), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Module):
    """Convolution [b in h w] -> [b out ceil(h/stride) ceil(w/stride)]; Glorot-uniform weights and zero bias, as in Keras."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride)
        glorot(self.conv)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve."""
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        rows = same_padding(images.shape[-2], kernel, stride)
        columns = same_padding(images.shape[-1], kernel, stride)
        assert self.conv.bias is not None
        if rows[0] == rows[1] and columns[0] == columns[1]:
            return conv2d(images, self.conv.weight, self.conv.bias, Grid(stride, (rows[0], columns[0])))
        return conv2d(F.pad(images, (*columns, *rows)), self.conv.weight, self.conv.bias, Grid(stride))


class SameConvTranspose2d(nn.Module):
    """Adjoint of `SameConv2d`, from ceil(size / stride) up to the `size` (height, width) it is given."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, size: tuple[int, int]) -> None:
        super().__init__()
        if kernel < stride:
            raise ValueError(f"kernel {kernel} is smaller than the stride {stride}: some pixels would have no input")
        self.size = size
        self.conv = nn.ConvTranspose2d(inputs, outputs, kernel, stride)
        glorot(self.conv)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve up to `size`."""
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        rows, columns = ((same_padding(side, kernel, stride)[0], side) for side in self.size)
        assert self.conv.bias is not None
        return conv_transpose2d(features, self.conv.weight, self.conv.bias, stride, (rows, columns))


def glorot(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    """Initialize as Keras does: uniform in +-sqrt(6 / (fan in + fan out)), bias zero (Glorot & Bengio 2010, eq. 16)."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)

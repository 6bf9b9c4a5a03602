"""Convolutions with Keras' `same` padding, for images of any size.

A convolution with a stride maps n pixels to ceil(n / stride). If the required padding is odd, Keras adds the larger half at the
bottom and the right. The transposed convolution is the exact adjoint, so it crops the same pixels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.networks.kernels.convolution import ConvGeometry, conv2d
from simulacra.networks.kernels.transposed_convolution import conv_transpose2d


def same_output_size(size: tuple[int, int], stride: int = 2) -> tuple[int, int]:
    """Return the output size (height, width) of a `same` convolution with this stride: ceil(n / stride)."""
    return (-(-size[0] // stride), -(-size[1] // stride))


def downsampled_sizes(height: int, width: int, count: int) -> list[tuple[int, int]]:
    """Return the image size (height, width) before the first and after each of `count` convolutions of stride 2.

    >>> downsampled_sizes(28, 9, 3)
    [(28, 9), (14, 5), (7, 3), (4, 2)]
    """
    sizes = [(height, width)]
    for _ in range(count):
        sizes.append(same_output_size(sizes[-1]))
    return sizes


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the number of pixels to pad before and after an axis of `size` pixels.

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
        initialize_glorot(self.conv)

    def forward(self, images: Tensor) -> Tensor:
        """Return [b out ceil(h/stride) ceil(w/stride)]."""
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        rows = same_padding(images.shape[-2], kernel, stride)
        columns = same_padding(images.shape[-1], kernel, stride)
        assert self.conv.bias is not None
        if rows[0] == rows[1] and columns[0] == columns[1]:
            return conv2d(images, self.conv.weight, self.conv.bias, ConvGeometry(stride, (rows[0], columns[0])))
        return conv2d(F.pad(images, (*columns, *rows)), self.conv.weight, self.conv.bias, ConvGeometry(stride))


class SameConvTranspose2d(nn.Module):
    """Transposed convolution to `size` (h, w), adjoint of `SameConv2d`; raises ValueError if the kernel is below the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, size: tuple[int, int]) -> None:
        super().__init__()
        if kernel < stride:
            raise ValueError(f"kernel {kernel} is smaller than the stride {stride}: some output pixels would have no input")
        self.size = size
        self.conv = nn.ConvTranspose2d(inputs, outputs, kernel, stride)
        initialize_glorot(self.conv)

    def forward(self, features: Tensor) -> Tensor:
        """Return [b out *size]."""
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        rows, columns = ((same_padding(side, kernel, stride)[0], side) for side in self.size)
        assert self.conv.bias is not None
        return conv_transpose2d(features, self.conv.weight, self.conv.bias, stride, (rows, columns))


def initialize_glorot(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    """Initialize weights uniformly in +-sqrt(6 / (fan_in + fan_out)) and the bias to zero (Glorot & Bengio 2010, eq. 16)."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)

"""What the engine replaces, as PyTorch has it."""

import torch.nn.functional as F
from torch import nn

from simulacra.networks import cyclegan
from simulacra.networks import same_padding as same
from simulacra.networks.kernels import convolution, dropout
from simulacra.networks.kernels import memory_layout as layout


def stock_transposed(features, weight, bias, stride, crop):
    """PyTorch's own transposed convolution, with the signature of `conv_transpose2d`."""
    (top, height), (left, width) = crop
    return F.conv_transpose2d(features, weight, bias, stride)[..., top : top + height, left : left + width]


def stock_instance_norm(self, features):
    """PyTorch's own instance normalization, but for feature maps of one pixel, which it refuses."""
    return F.instance_norm(features) if features.shape[2] * features.shape[3] > 1 else features


def stock_layers() -> None:
    """Put PyTorch's own layers in the place of the toolkit's, for all networks that are used from now on."""
    same.conv_transpose2d = stock_transposed
    dropout.Dropout.forward = lambda self, values: F.dropout(values, self.p, self.training)
    convolution._MAX_PRODUCT_WIDTH, convolution._WIDE_DTYPES = 0, ()
    cyclegan.InstanceNorm.forward = stock_instance_norm
    layout.Unflatten.forward = nn.Unflatten.forward

"""What the engine replaces, as PyTorch has it."""

import torch.nn.functional as F


def stock_transposed(features, weight, bias, stride, crop):
    """PyTorch's own transposed convolution, with the signature of `simulacra.networks.adjoint.conv_transpose2d`."""
    (top, height), (left, width) = crop
    return F.conv_transpose2d(features, weight, bias, stride)[..., top : top + height, left : left + width]

"""Flatten and unflatten layers for channels-last memory: the same values as PyTorch's, without a change of memory layout.

The gradient of PyTorch's flatten has the default layout. On CPUs, elementwise kernels that combine it with channels-last features
then read both element by element and take about twenty times as long.
"""

from typing import Any

import torch
from torch import Tensor, nn


class Flatten(nn.Module):
    """Flatten features [b c h w] to [b c*h*w]; the gradient has the memory layout of the features."""

    def forward(self, features: Tensor) -> Tensor:
        """Return [b c*h*w]."""
        return flatten(features)


class Unflatten(nn.Unflatten):
    """Unflatten values [b c*h*w] to features [b c h w] in channels-last memory, the layout of convolutions' outputs."""

    def forward(self, values: Tensor) -> Tensor:
        """Return [b c h w]."""
        features: Tensor = super().forward(values)
        return features.contiguous(memory_format=torch.channels_last)


def flatten(features: Tensor) -> Tensor:
    """Flatten features [b c h w] to [b c*h*w]; the gradient has the memory layout of the features."""
    return keep_gradient_layout(features).flatten(1)


def keep_gradient_layout(features: Tensor) -> Tensor:
    """Return features [b c h w] unchanged; their gradient is converted to their memory layout."""
    if not features.requires_grad or not features.is_contiguous(memory_format=torch.channels_last):
        return features
    return _ChannelsLastGradient.apply(features)  # type: ignore[no-untyped-call]


class _ChannelsLastGradient(torch.autograd.Function):
    """Identity whose gradient is converted to channels-last memory; differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient.contiguous(memory_format=torch.channels_last)

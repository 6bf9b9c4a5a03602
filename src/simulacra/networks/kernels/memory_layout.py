"""Flattening and its reverse for networks in channels-last memory: same numbers as PyTorch's, in the layout that comes next.

Behind a stock flattening the gradient of the features comes in the default layout. On CPUs every elementwise kernel that then
meets it beside channels-last features reads both number by number, and takes twenty times as long.
"""

from typing import Any

import torch
from torch import Tensor, nn


class Flatten(nn.Module):
    """Features [b c h w] to [b c*h*w]; their gradient comes in their own memory layout."""

    def forward(self, features: Tensor) -> Tensor:
        """Flatten."""
        return flat(features)


class Unflatten(nn.Unflatten):
    """[b c*h*w] to features [b c h w] in channels-last memory, as convolutions leave theirs."""

    def forward(self, values: Tensor) -> Tensor:
        """Unflatten."""
        features: Tensor = super().forward(values)
        return features.contiguous(memory_format=torch.channels_last)


def flat(features: Tensor) -> Tensor:
    """Return features [b c h w] as [b c*h*w]; their gradient comes in their own memory layout."""
    return aligned(features).flatten(1)


def aligned(features: Tensor) -> Tensor:
    """Return features [b c h w] as they are; their gradient comes in their own memory layout."""
    if not features.requires_grad or not features.is_contiguous(memory_format=torch.channels_last):
        return features
    same: Tensor = _Aligned.apply(features)  # type: ignore[no-untyped-call]
    return same


class _Aligned(torch.autograd.Function):
    """Identity on channels-last features, whose gradient is brought into their layout; differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient.contiguous(memory_format=torch.channels_last)

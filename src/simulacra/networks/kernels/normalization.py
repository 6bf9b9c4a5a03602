"""Group normalization (Wu & He 2018), faster on CPUs for small groups; same parameters and outputs as PyTorch's.

PyTorch's CPU kernel for channels-last memory reads the channels of a group pixel by pixel. For groups with fewer channels than
fill a vector register, converting to the default layout, normalizing and converting back is two to twenty times faster.
"""

import torch
from torch import Tensor, nn

_MIN_CHANNELS_LAST_GROUP = {torch.float32: 4, torch.bfloat16: 16}  # channels per group from which PyTorch's kernel is faster


class GroupNorm(nn.GroupNorm):
    """Normalize groups of channels over all pixels: [b c h w] -> [b c h w]."""

    def forward(self, features: Tensor) -> Tensor:
        """Return [b c h w]."""
        return group_norm(features, self.num_groups, self.weight, self.bias, self.eps)


def group_norm(
    features: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalize each group of c / groups channels of features [b c h w] to mean 0 and variance 1, per image.

    Then multiply by weight [c] and add bias [c], if given. The result has the memory layout of the features.
    """
    small = features.shape[1] // groups < _MIN_CHANNELS_LAST_GROUP.get(features.dtype, 0)
    if features.device.type != "cpu" or features.is_contiguous() or not small:
        return torch.group_norm(features, groups, weight, bias, eps)
    normalized = torch.group_norm(features.contiguous(), groups, weight, bias, eps)
    return normalized.contiguous(memory_format=torch.channels_last)

"""Dropout (Srivastava et al. 2014) with a fast random mask on CPUs: eight values per 64-bit random number.

PyTorch's CPU sampler draws one number per value. Here a random int64 provides eight independent bytes, and a value is kept where
its byte is below a threshold in 1..255, and divided by exactly its keep probability, a multiple of 1/256.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BYTE_VALUES = 256


class Dropout(nn.Module):
    """Zero each value with probability `p` during training and divide the others by 1 - p; the identity in evaluation mode.

    `p` is rounded to the nearest multiple of 1/256, but never to 0 or 1 (0.3 becomes 77/256 = 0.3008); p = 0 is the identity.
    On CPUs the mask depends on torch's global generator and on the shape and memory layout of the input; the output has the same
    memory layout. Other devices use PyTorch's dropout with the rounded `p`. Raises ValueError unless 0 <= p < 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p is {p}, expected the share of values to drop, at least 0 and below 1, such as 0.3")
        self.threshold = _BYTE_VALUES if p == 0 else min(max(round(_BYTE_VALUES * (1 - p)), 1), _BYTE_VALUES - 1)

    @property
    def p(self) -> float:
        """The probability of dropping a value, after rounding."""
        return 1 - self.threshold / _BYTE_VALUES

    def forward(self, values: Tensor) -> Tensor:
        """Apply dropout to values of any shape and floating-point dtype; gradients pass through the same mask."""
        if not self.training or self.threshold == _BYTE_VALUES:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.p)
        return values * byte_mask(values, self.threshold) * (_BYTE_VALUES / self.threshold)

    def extra_repr(self) -> str:
        """Return p after rounding."""
        return f"p={self.p:.4g}"


def byte_mask(values: Tensor, threshold: int) -> Tensor:
    """Return a uint8 mask with the shape and memory layout of `values`: 1 with probability threshold / 256, else 0."""
    count = values.numel()
    draws = torch.empty(-(-count // 8), dtype=torch.int64)
    draws.random_(-(2**63), None)  # all 64 bits: by default random_() never sets the sign bit, the highest bit of the eighth byte
    keep = (draws.view(torch.uint8)[:count] < threshold).view(torch.uint8)  # a product with uint8 is faster than one with bool
    return keep.as_strided(values.shape, torch.empty_like(values, device="meta").stride())

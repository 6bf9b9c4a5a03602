"""Dropout (Srivastava et al. 2014) whose mask is drawn eight values at a time: on CPUs the stock sampler draws one by one.

A random int64 is eight independent bytes, and a byte keeps its value where it is below a threshold of 1..255. So the chance of
being kept is a multiple of 1/256; survivors are divided by exactly that chance, and the expectation is exact.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 256  # values of a byte


class Dropout(nn.Module):
    """Zeroes each value with probability `p` in training and divides the others by 1 - p; the identity in evaluation mode.

    `p` is rounded to the nearest multiple of 1/256, but never to 0 or 1 (0.3 becomes 77/256 = 0.3008); 0 is the identity. The
    mask is a function of torch's global CPU generator and of the input's shape and memory layout, which the output shares. On
    other devices the stock function draws, with the same rounded `p`. Raises ValueError unless 0 <= p < 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p is {p}, expected the share of values to drop, at least 0 and below 1, such as 0.3")
        self.kept = _LEVELS if p == 0 else min(max(round(_LEVELS * (1 - p)), 1), _LEVELS - 1)

    @property
    def p(self) -> float:
        """The probability of being dropped, after rounding."""
        return 1 - self.kept / _LEVELS

    def forward(self, values: Tensor) -> Tensor:
        """Drop values of any shape and floating type; gradients pass through the same mask."""
        if not self.training or self.kept == _LEVELS:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.p)
        return values * byte_mask(values, self.kept) * (_LEVELS / self.kept)

    def extra_repr(self) -> str:
        """Say p, after rounding."""
        return f"p={self.p:.4g}"


def byte_mask(values: Tensor, kept: int) -> Tensor:
    """Return uint8 of the shape and memory layout of `values`: 1 with probability kept / 256, else 0."""
    count = values.numel()
    draws = torch.empty(-(-count // 8), dtype=torch.int64)
    draws.random_(-(2**63), None)  # all 64 bits: by default random_() leaves the sign, the highest bit of the eighth byte, at 0
    keeps = (draws.view(torch.uint8)[:count] < kept).view(torch.uint8)  # a product with uint8 is faster than one with bool
    return keeps.as_strided(values.shape, torch.empty_like(values, device="meta").stride())

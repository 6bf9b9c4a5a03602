"""Paths between latent vectors."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor


def linear(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return `steps` points on the straight line between vectors [b d], ends included: [steps b d]."""
    return torch.lerp(start[None], end[None], _positions(start, steps))


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return `steps` points on the great-circle arc between vectors [b d], ends included: [steps b d]. The ends are exact.

    Directions follow Shoemake (1985), norms change linearly: two vectors of one norm stay on their sphere. Gaussian latents
    live near a sphere of radius sqrt(d), which a straight line leaves. Parallel vectors are joined by the straight line.
    """
    norms = start.norm(dim=1, keepdim=True), end.norm(dim=1, keepdim=True)
    first, last = (vector / norm.clamp_min(1e-12) for vector, norm in zip((start, end), norms, strict=True))
    angle = torch.acos((first * last).sum(1, keepdim=True).clamp(-1, 1))
    position = _positions(start, steps)
    sine = torch.sin(angle)
    arc = (torch.sin((1 - position) * angle) * first + torch.sin(position * angle) * last) / sine
    points = arc * torch.lerp(norms[0], norms[1], position)
    inner = (position > 0) & (position < 1) & (sine > 1e-4)
    return torch.where(inner, points, linear(start, end, steps))


def _positions(vectors: Tensor, steps: int) -> Tensor:
    return torch.linspace(0, 1, steps, dtype=vectors.dtype, device=vectors.device)[:, None, None]


def path_between(choice: Literal["auto", "linear", "spherical"], prior: str) -> Callable[[Tensor, Tensor, int], Tensor]:
    """Return the path of a choice; `auto` is the arc for a Gaussian prior and the line for any other."""
    return spherical if choice == "spherical" or (choice == "auto" and prior == "standard normal") else linear

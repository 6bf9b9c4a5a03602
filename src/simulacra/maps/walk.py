"""A walk through a latent space: images decoded from a grid of latents in a plane."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, require
from simulacra.core.condition import UNCONDITIONAL, in_words
from simulacra.core.errors import NotApplicable
from simulacra.maps.projection import check_latents
from simulacra.runs.latent_space import decode, encode, latent_condition
from simulacra.runs.opened import OpenedRun
from simulacra.runs.test_images import reference_images

_IMAGES = 2000  # validation images whose latents place the grid
_REACH = 2.0  # standard deviations on each side of the mean, along a principal component
_RANGE = (0.01, 0.99)  # quantiles of latents without a prior between which the grid lies


@dataclass(frozen=True)
class Walk:
    """images: float [steps^2 c h w] in [0, 1], in reading order, the second coordinate upwards; plane: what it is, in words."""

    images: Tensor
    plane: str


def walk(opened: OpenedRun, steps: int, label: str = "") -> Walk:
    """Return the images decoded from a grid of steps x steps latents, or of 1 x steps where there is a single latent.

    Two latents with a normal prior: its quantiles (i - 1/2) / steps, so that each image stands for an equal share of the prior;
    without a prior: evenly from the 1st to the 99th percentile of the latents of validation images. More latents: the plane of
    their first two principal components, 2 standard deviations on each side of the mean. label: the condition of a conditional
    model, by default its first class. Raises NotApplicable, UsageError.
    """
    model = require(opened.model, AMORTIZED_LATENT_SPACE, "a walk")
    conditional = bool(model.accepts) and model.conditional_likelihood
    if others := sorted(model.accepts - {"labels"}) if conditional else []:
        instead = "sample --caption" if "tokens" in others else "restore"
        refused = f"--walk is not applicable to this {type(model).__name__}"
        raise NotApplicable(f"{refused}: its images depend on {in_words(others)} besides the latents. Use simulacra {instead}")
    latents, plane = _plane(opened, steps)
    if not conditional:
        return Walk(decode(opened, latents, UNCONDITIONAL), plane)
    label = label or _first_label(opened)
    return Walk(decode(opened, latents, opened.label_condition(label, len(latents))), f"{plane}, of {label}")


def _plane(opened: OpenedRun, steps: int) -> tuple[Tensor, str]:
    """Return the latents [m d] of the grid, the row with the largest second coordinate first, and what they are in words."""
    model = require(opened.model, AMORTIZED_LATENT_SPACE, "a walk")
    if model.latent_dim <= 2 and model.prior == "standard normal":
        axis = normal_quantiles(steps)
        return _grid([axis] * model.latent_dim), f"quantiles of the prior of {_count(model.latent_dim)}"
    data = reference_images(opened.dataset, _IMAGES)
    latents = encode(opened, data.images, latent_condition(opened, data)).double()
    components = check_latents(latents.numpy())
    if model.latent_dim <= 2:
        low, high = (latents.quantile(end, 0).tolist() for end in _RANGE)
        axes = [torch.linspace(*ends, steps) for ends in zip(low, high, strict=True)]
        return _grid(axes), f"the 1st to the 99th percentile of {_count(model.latent_dim)}"
    reach = [_REACH * float(deviation) for deviation in np.sqrt(components.variances[:2])]
    points = _grid([torch.linspace(-end, end, steps, dtype=torch.float64) for end in reach])
    axes_of_plane: NDArray[np.float64] = np.ascontiguousarray(components.axes[:2])
    placed = points.double() @ torch.from_numpy(axes_of_plane) + torch.from_numpy(components.mean)
    share = f"{components.share(2):.0%} of the variance of {model.latent_dim} latents"
    return placed.float(), f"2 standard deviations on each side of the mean along the first two principal components ({share})"


def normal_quantiles(steps: int) -> Tensor:
    """Return the quantiles (i - 1/2) / steps of the standard normal distribution, i = 1..steps: float32 [steps].

    >>> normal_quantiles(3)
    tensor([-0.9674,  0.0000,  0.9674])
    """
    return torch.special.ndtri((torch.arange(steps, dtype=torch.float64) + 0.5) / steps).float()


def _grid(axes: list[Tensor]) -> Tensor:
    """Return the points [m d] of a grid with these axes, d is 1 or 2, in reading order with the second axis upwards."""
    if len(axes) == 1:
        return axes[0][:, None].float()
    down, right = torch.meshgrid(axes[1].flip(0), axes[0], indexing="ij")
    return torch.stack([right.flatten(), down.flatten()], 1).float()


def _count(latents: int) -> str:
    return "its one latent" if latents == 1 else "its two latents"


def _first_label(opened: OpenedRun) -> str:
    """Return the text of the first label: the first class, or the first value of each attribute."""
    attributes = opened.spec.attributes
    return ",".join(f"{item.name}={item.values[0]}" for item in attributes) if attributes else opened.spec.classes[0]

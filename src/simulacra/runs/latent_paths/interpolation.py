"""Interpolation between images, between noise, and between classes: images decoded or generated along paths."""

from typing import Literal

import torch
from torch import Tensor

from simulacra.core.capabilities import LatentSpace, Samples, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import UsageError
from simulacra.core.randomness import noise
from simulacra.runs.latent_paths.class_latents import ClassLatent, class_latent
from simulacra.runs.latent_paths.paths import linear, path_between
from simulacra.runs.latent_space import decode, encode
from simulacra.runs.opened import OpenedRun

ROWS, STEPS = 8, 11  # pairs by default, images in a row
PathKind = Literal["auto", "linear", "spherical"]
Conditions = tuple[Condition, Condition, Condition]
_NONE: Conditions = (UNCONDITIONAL, UNCONDITIONAL, UNCONDITIONAL)


def interpolate(
    opened: OpenedRun, start: Tensor, end: Tensor, steps: int = STEPS, path: PathKind = "auto", *, given: Conditions = _NONE
) -> Tensor:
    """Return images [n steps c h w] between the images `start` and `end`, both [n c h w], through the latent space.

    given: conditions with which `start` and `end` are encoded and points are decoded, one row for each pair. Where equal,
    the first and the last image of a row are the reconstructions of the given ones. Raises NotApplicable, UsageError.
    """
    prior = require(opened.model, LatentSpace, "interpolation").prior
    latents = encode(opened, start, given[0]), encode(opened, end, given[1])
    points = path_between(path, prior)(*latents, steps).transpose(0, 1)
    repeated = given[2].map(lambda values: values.repeat_interleave(steps, 0))
    return decode(opened, points.flatten(0, 1), repeated).unflatten(0, (len(start), steps))


def interpolate_noise(
    opened: OpenedRun, rows: int = ROWS, steps: int = STEPS, seed: int = 0, path: PathKind = "auto", *, label: str | None = None
) -> Tensor:
    """Return images [rows steps c h w] of interpolated noise: row k is between the images 2k and 2k + 1 of the seed.

    `auto` takes the arc, since noise is Gaussian. All images of a row have one label: `label`, or in row k label k, modulo the
    number of labels. Raises NotApplicable, UsageError.
    """
    model = require(opened.model, Samples, "interpolation between noise")
    if rows < 1:
        raise UsageError(f"rows is {rows}, expected at least 1")
    condition = _row_labels(model, rows) if label is None else opened.label_condition(label, rows)
    drawn = noise(seed, 0, 2 * rows, model.noise_shape).flatten(1)
    points = path_between(path, "standard normal")(drawn[::2], drawn[1::2], steps).unflatten(2, model.noise_shape)
    return torch.stack([opened.apply(model.generate, points[step], condition=condition) for step in range(steps)], 1)


def _row_labels(model: Samples, rows: int) -> Condition:
    columns = [torch.arange(rows) % size for size in model.label_sizes]
    return Condition(torch.stack(columns, 1) if len(columns) > 1 else columns[0]) if columns else UNCONDITIONAL


def interpolate_classes(
    opened: OpenedRun,
    from_class: str,
    to_class: str,
    steps: int = STEPS,
    path: PathKind = "auto",
    *,
    images: Tensor | None = None,
) -> Tensor:
    """Return images [1 + n steps c h w] between two classes: along the path of their mean latents, then of single images.

    Row 0 is decoded from the path between the means m of the latents of training images. Row k is decoded from
    z + t (m_to - m_from), t = 0..1, of the latent z of `images[k - 1]`, [n c h w]: a straight line, by the same vector for each.
    Raises NotApplicable, UsageError.
    """
    ends = class_latent(opened, from_class), class_latent(opened, to_class)
    return class_rows(opened, ends, steps, path, images)


def class_rows(
    opened: OpenedRun, ends: tuple[ClassLatent, ClassLatent], steps: int, path: PathKind, images: Tensor | None
) -> Tensor:
    """Return the images of `interpolate_classes` between two mean latents."""
    prior = require(opened.model, LatentSpace, "interpolation").prior
    first, last = (end.mean[None] for end in ends)
    points = path_between(path, prior)(first, last, steps)
    if images is not None and len(images):
        latents = encode(opened, images)
        points = torch.cat([points, linear(latents, latents + (last - first), steps)], 1)
    count = points.shape[1]
    return decode(opened, points.transpose(0, 1).flatten(0, 1)).unflatten(0, (count, steps))

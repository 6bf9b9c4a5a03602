"""Interpolate between pairs of images, one pair in each row: between test images, or between generated images.

A model with a latent space interpolates between the latents of test images. Any other model that generates images, such as a
GAN, interpolates between the noise of generated images; with --between noise every model that generates images does so.

The path is a straight line or a great-circle arc (--path linear or spherical). The default is the arc where the prior is
Gaussian, as noise is, whose samples have nearly equal norms, and the line for any other prior.

With --from-class and --to-class the first row goes from the mean latent of one class to that of the other, and in every further
row a test image of the first class is moved along the difference of the two means.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.batch import Batch
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, LatentSpace, Samples, require, supports
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import Config, option
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.progress import Progress
from simulacra.core.randomness import noise, permutation
from simulacra.data.dataset import Split
from simulacra.images.files import check_png, save_png
from simulacra.images.grid import image_grid, overview_count
from simulacra.images.section import Figure, ReportSection
from simulacra.runs.class_latents import ClassLatent, class_latent, images_of_class
from simulacra.runs.latent_paths import linear, path_between
from simulacra.runs.latent_space import decode, encode, latent_condition
from simulacra.runs.opened import OpenedRun
from simulacra.runs.test_images import overview_images

PathKind = Literal["auto", "linear", "spherical"]
Conditions = tuple[Condition, Condition, Condition]
_NONE: Conditions = (UNCONDITIONAL, UNCONDITIONAL, UNCONDITIONAL)
_ROWS, _REPORT_ROWS, _STEPS = 8, 6, 11  # pairs by default, pairs in the report, images in a row


@dataclass(frozen=True)
class InterpolateConfig(Config):
    """Settings of an interpolation."""

    rows: int = option(0, f"number of pairs; 0: {_ROWS}, or as many as there are test images for", low=0)
    steps: int = option(_STEPS, "number of images in a row, both ends included", low=2)
    path: Literal["auto", "linear", "spherical"] = option("auto", "straight line or great-circle arc")
    between: Literal["auto", "images", "noise"] = option("auto", "end points; auto: images where the model has a latent space")
    label: str = option("", "label of all images; without it that of a row's first image, or between noise label k in row k")
    from_class: str = option("", "class at the start: the mean latent of its training images")
    to_class: str = option("", "class at the end")
    seed: int = option(0, "seed that chooses the images", low=0)
    out: str = option("", "a .png file (default: RUN/images/interpolations.png)")

    def validate(self) -> None:
        """Raise UsageError for one class without the other, and for end points that are given besides classes."""
        if bool(self.from_class) != bool(self.to_class):
            missing = "--to-class" if self.from_class else "--from-class"
            raise UsageError(f"{missing} is missing: give both classes, such as --from-class 4 --to-class 9")
        if self.from_class and (self.label or self.between == "noise"):
            given = "--label" if self.label else "--between noise"
            raise UsageError(f"{given} does not apply between classes: leave it out")


def interpolate(
    opened: OpenedRun, start: Tensor, end: Tensor, steps: int = _STEPS, path: PathKind = "auto", *, given: Conditions = _NONE
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


def _interpolate_batches(opened: OpenedRun, start: Batch, end: Batch, settings: InterpolateConfig) -> Tensor:
    """Return the images between two batches; points are decoded with --label, or with the label of `start`."""
    encoded = latent_condition(opened, start), latent_condition(opened, end)
    decoded = opened.label_condition(settings.label, len(start)) if settings.label else encoded[0]
    return interpolate(opened, start.images, end.images, settings.steps, settings.path, given=(*encoded, decoded))


def interpolate_noise(
    opened: OpenedRun, rows: int = _ROWS, steps: int = _STEPS, seed: int = 0, path: PathKind = "auto", *, label: str | None = None
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
    steps: int = _STEPS,
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
    return _class_rows(opened, ends, steps, path, images)


def _class_rows(
    opened: OpenedRun, ends: tuple[ClassLatent, ClassLatent], steps: int, path: PathKind, images: Tensor | None
) -> Tensor:
    prior = require(opened.model, LatentSpace, "interpolation").prior
    first, last = (end.mean[None] for end in ends)
    points = path_between(path, prior)(first, last, steps)
    if images is not None and len(images):
        latents = encode(opened, images)
        points = torch.cat([points, linear(latents, latents + (last - first), steps)], 1)
    count = points.shape[1]
    return decode(opened, points.transpose(0, 1).flatten(0, 1)).unflatten(0, (count, steps))


def _between_classes(opened: OpenedRun, settings: InterpolateConfig) -> tuple[Tensor, dict[str, Any]]:
    """Return the images between two classes, and the norms of their mean latents."""
    ends = class_latent(opened, settings.from_class), class_latent(opened, settings.to_class)
    test = opened.dataset.test
    start = images_of_class(opened, test, settings.from_class)
    count = (settings.rows or min(_ROWS, len(start) + 1)) - 1
    if count > len(start):
        raise UsageError(
            f"rows is {settings.rows}, expected at most {len(start) + 1}: the row of the means, and one for each test image of "
            f"class {settings.from_class}"
        )
    chosen = start[permutation(len(start), settings.seed, "class images")[:count]]
    images = _class_rows(opened, ends, settings.steps, settings.path, test.batch(chosen).images)
    classes = {"from_class": settings.from_class, "to_class": settings.to_class}
    norms = {"from_norm": ends[0].norm, "to_norm": ends[1].norm}
    return images, {**classes, **norms, "from_image_norm": ends[0].image_norm, "to_image_norm": ends[1].image_norm}


def _run(opened: OpenedRun, settings: InterpolateConfig, progress: Progress) -> ApplicationResult:
    out = check_png(opened.run.output(settings.out, "interpolations.png"))
    facts: dict[str, Any] = {}
    if settings.from_class:
        images, facts = _between_classes(opened, settings)
        between = f"classes {settings.from_class} and {settings.to_class}"
    else:
        images, between = interpolations(opened, settings)
    save_png(image_grid(images.flatten(0, 1), settings.steps), out)
    content = {"path": str(out), "rows": len(images), "steps": settings.steps, "between": between}
    content |= {"seed": settings.seed, "label": settings.label or None, **facts}
    return ApplicationResult(content, f"{len(images)} interpolations between {between} in {out}{_norms(facts)}")


def _norms(facts: dict[str, Any]) -> str:
    """Return the norms between classes as text, empty where there are none."""
    if not facts:
        return ""
    means, singles = ([facts[f"{side}_{name}"] for side in ("from", "to")] for name in ("norm", "image_norm"))
    return (
        f"\nnorms of the mean latents {means[0]:.3g} and {means[1]:.3g}, of single images {singles[0]:.3g} and {singles[1]:.3g}"
    )


def interpolations(opened: OpenedRun, settings: InterpolateConfig) -> tuple[Tensor, str]:
    """Return images [rows steps c h w] and what they are between: images or noise. Raises NotApplicable, UsageError."""
    has_latents = supports(opened.model, LatentSpace)
    automatic = "images" if has_latents and not settings.label else "noise"
    between = automatic if settings.between == "auto" else settings.between
    if between == "noise":
        sizes = settings.rows or _ROWS, settings.steps
        return interpolate_noise(opened, *sizes, settings.seed, settings.path, label=settings.label or None), between
    if settings.label and not (has_latents and opened.model.conditional_likelihood):
        raise UsageError(f"--label {settings.label} applies between noise: leave it out, or add --between noise")
    if not has_latents and supports(opened.model, Samples):
        refused = f"interpolation between images is not applicable to {type(opened.model).__name__}"
        raise NotApplicable(f"{refused}: it needs {LatentSpace.phrase}. Use --between noise")
    return _interpolate_batches(opened, *_pairs(opened.dataset.test, settings.rows, settings.seed), settings), between


def _pairs(split: Split, count: int, seed: int) -> tuple[Batch, Batch]:
    """Return pairs of images, of different classes where there are classes."""
    if count == 0:
        count = min(_ROWS, len(split) // 2)
    if not 1 <= count <= len(split) // 2:
        raise UsageError(f"rows is {count}, expected between 1 and {len(split) // 2}, half of the number of test images")
    order = permutation(len(split), seed, "pairs")
    starts, ends = order[:count], order[count:]
    if split.labels is not None:
        labels = split.labels.reshape(len(split), -1)[:, 0]
        others = [ends[row:][labels[ends[row:]] != labels[start]] for row, start in enumerate(starts)]
        ends = np.array([found[0] if len(found) else ends[row] for row, found in enumerate(others)])
    return split.batch(starts), split.batch(ends[:count])


def _section(opened: OpenedRun) -> ReportSection:
    if not supports(opened.model, LatentSpace):
        return _between_noise(opened)
    real = overview_images(opened, overview_count(opened.spec.shape))
    pairs = [(index, index + 1) for index in range(0, len(real) - 1, 2)]
    if (labels := real.labels) is not None:
        pairs.sort(key=lambda pair: bool(labels[pair[0]] == labels[pair[1]]))
    first, last = (real.rows(torch.tensor(side)) for side in zip(*pairs[:_REPORT_ROWS], strict=True))
    images = _interpolate_batches(opened, first, last, InterpolateConfig()).flatten(0, 1)
    starts, ends = first.images, last.images
    gaussian = require(opened.model, LatentSpace, "interpolation").prior == "standard normal"
    path = "a great-circle arc, since the prior is Gaussian" if gaussian else "a straight line"
    row = (
        Figure(image_grid(starts, 1), "Test images at the start", "start"),
        Figure(image_grid(images, _STEPS), f"{len(starts)} interpolations, one in each row", "decoded from interpolated latents"),
        Figure(image_grid(ends, 1), "Test images at the end", "end"),
    )
    text = (
        f"Left and right: images of the test set. Between them: images decoded from latents on {path}. Each should be a "
        "realistic image, with even changes from step to step. Two superimposed images indicate a latent space with gaps."
    )
    return ReportSection("Interpolations", 80, (text,), (row,))


def _between_noise(opened: OpenedRun) -> ReportSection:
    images = interpolate_noise(opened, _REPORT_ROWS).flatten(0, 1)
    alt = f"{_REPORT_ROWS} interpolations between generated images, one in each row"
    text = (
        "In each row: images generated from noise on a great-circle arc between two random vectors. A conditional model "
        "generates one class in each row. Each should be realistic, with even changes from step to step. Abrupt changes indicate "
        "a generator that has memorized single images."
    )
    return ReportSection("Interpolations", 80, (text,), ((Figure(image_grid(images, _STEPS), alt),),))


APPLICATION = Application(
    name="interpolate",
    description=__doc__,
    settings=InterpolateConfig,
    needs=(LatentSpace, Samples),
    run=_run,
    examples=(
        "simulacra interpolate runs/first",
        "simulacra interpolate runs/first --path linear --rows 4 --steps 15",
        "simulacra interpolate runs/first --between noise",
        "simulacra interpolate runs/conditional --label 7",
        "simulacra interpolate runs/first --from-class 4 --to-class 9",
    ),
    setting_needs={
        "label": ("labels",),
        "from_class": (AMORTIZED_LATENT_SPACE,),
        "to_class": (AMORTIZED_LATENT_SPACE,),
    },
    section=_section,
)

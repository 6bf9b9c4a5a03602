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

import torch
from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.batch import Batch
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, LatentSpace, Samples, require, supports
from simulacra.core.config import Config, option
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.progress import Progress
from simulacra.core.randomness import permutation
from simulacra.images.files import check_grid, save_png
from simulacra.images.grid import image_grid, overview_count
from simulacra.images.section import Figure, ReportSection
from simulacra.runs.latent_paths.class_latents import class_latent, images_of_class
from simulacra.runs.latent_paths.interpolation import ROWS, STEPS, class_rows, interpolate, interpolate_noise
from simulacra.runs.latent_space import latent_condition
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path
from simulacra.runs.test_images import choose_pairs, overview_images

_REPORT_ROWS = 6  # pairs in the report


@dataclass(frozen=True)
class InterpolateConfig(Config):
    """Settings of an interpolation."""

    rows: int = option(0, f"number of pairs; 0: {ROWS}, or as many as there are test images for", low=0)
    steps: int = option(STEPS, "number of images in a row, both ends included", low=2)
    path: Literal["auto", "linear", "spherical"] = option("auto", "straight line or great-circle arc")
    between: Literal["auto", "images", "noise"] = option("auto", "end points; auto: images where the model has a latent space")
    label: str = option("", "label of all images; without it that of a row's first image, or between noise label k in row k")
    from_class: str = option("", "class at the start: the mean latent of its training images")
    to_class: str = option("", "class at the end")
    seed: int = option(0, "seed that chooses the images", low=0)
    out: str = option("", f"a .png file (default: interpolations.png {IN_IMAGES})")

    def validate(self) -> None:
        """Raise UsageError for one class without the other, and for end points that are given besides classes."""
        if bool(self.from_class) != bool(self.to_class):
            missing = "--to-class" if self.from_class else "--from-class"
            raise UsageError(f"{missing} is missing: give both classes, such as --from-class 4 --to-class 9")
        if self.from_class and (self.label or self.between == "noise"):
            given = "--label" if self.label else "--between noise"
            raise UsageError(f"{given} does not apply between classes: leave it out")


def _interpolate_batches(opened: OpenedRun, start: Batch, end: Batch, settings: InterpolateConfig) -> Tensor:
    """Return the images between two batches; points are decoded with --label, or with the label of `start`."""
    encoded = latent_condition(opened, start), latent_condition(opened, end)
    decoded = opened.label_condition(settings.label, len(start)) if settings.label else encoded[0]
    return interpolate(opened, start.images, end.images, settings.steps, settings.path, given=(*encoded, decoded))


def _between_classes(opened: OpenedRun, settings: InterpolateConfig) -> tuple[Tensor, dict[str, Any]]:
    """Return the images between two classes, and the norms of their mean latents."""
    ends = class_latent(opened, settings.from_class), class_latent(opened, settings.to_class)
    test = opened.dataset.test
    start = images_of_class(opened, test, settings.from_class, least=0)
    count = (settings.rows or min(ROWS, len(start) + 1)) - 1
    if count > len(start):
        raise UsageError(
            f"rows is {settings.rows}, expected at most {len(start) + 1}: the row of the means, and one for each test image of "
            f"class {settings.from_class}"
        )
    chosen = start[permutation(len(start), settings.seed, "class images")[:count]]
    images = class_rows(opened, ends, settings.steps, settings.path, test.batch(chosen).images)
    classes = {"from_class": settings.from_class, "to_class": settings.to_class}
    norms = {"from_norm": ends[0].norm, "to_norm": ends[1].norm}
    return images, {**classes, **norms, "from_image_norm": ends[0].image_norm, "to_image_norm": ends[1].image_norm}


def _run(opened: OpenedRun, settings: InterpolateConfig, progress: Progress) -> ApplicationResult:
    shown = (settings.rows or ROWS) * settings.steps
    out = check_grid(output_path(opened.run, settings, "interpolations", ".png"), shown, opened.spec.shape)
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
        sizes = settings.rows or ROWS, settings.steps
        return interpolate_noise(opened, *sizes, settings.seed, settings.path, label=settings.label or None), between
    if settings.label and not (has_latents and opened.model.conditional_likelihood):
        raise UsageError(f"--label {settings.label} applies between noise: leave it out, or add --between noise")
    if not has_latents and supports(opened.model, Samples):
        refused = f"interpolation between images is not applicable to {type(opened.model).__name__}"
        raise NotApplicable(f"{refused}: it needs {LatentSpace.phrase}. Use --between noise")
    return _interpolate_batches(opened, *choose_pairs(opened.dataset.test, settings.rows, settings.seed, ROWS), settings), between


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
        Figure(image_grid(images, STEPS), f"{len(starts)} interpolations, one in each row", "decoded from interpolated latents"),
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
    return ReportSection("Interpolations", 80, (text,), ((Figure(image_grid(images, STEPS), alt),),))


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

"""Reconstruct images: originals, each above its reconstruction.

Test images are used unless --input names a folder, an archive or an image file of your own; those are fitted to the model's size.

--label renders images of a conditional model as another class: each image is encoded with its own label (the most probable one
where it has none) and its latents are decoded with the requested label; --label all does so for every class. The latents keep
what the label does not determine, such as slant and stroke width.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import Classifies, Reconstructs, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.family import model_condition
from simulacra.core.progress import Progress
from simulacra.data.load import images_like
from simulacra.images.files import check_png, save_png
from simulacra.images.grid import grid_of_rows, overview_count
from simulacra.images.section import Figure, ReportSection, columns_for
from simulacra.networks.labels import every_label
from simulacra.runs.latent_space import decode, encode
from simulacra.runs.opened import OpenedRun, check_images
from simulacra.runs.test_images import choose_images, overview_images

_COUNT, _COLUMNS = 32, 8  # images by default, and columns of the grid
_ALL = "all"  # the label that stands for every class


@dataclass(frozen=True)
class ReconstructConfig(Config):
    """Settings of a reconstruction."""

    count: int = option(0, f"number of images; 0: {_COUNT}, or all where there are fewer", low=0)
    seed: int = option(0, "seed that chooses the test images", low=0)
    label: str = option("", "render the images with this label too: a class, or attribute=value,...; all: with every class")
    input: str = option("", "images of your own instead of test images: a file, folder or archive")
    out: str = option("", "a .png file (default: RUN/images/reconstructions.png)")


def reconstruct(opened: OpenedRun, images: Tensor, condition: Condition = UNCONDITIONAL, *, label: str | None = None) -> Tensor:
    """Return the reconstructions of images [n c h w] in [0, 1]; raises NotApplicable, UsageError for another shape.

    label: decode with this label instead, as `OpenedRun.label_condition` parses it. condition: the labels with which images are
    encoded; without labels, a model that classifies images encodes them with their most probable ones.
    """
    if label is not None:
        return _render(opened, images, condition, opened.label_condition(label, len(images)))
    model = require(opened.model, Reconstructs, "reconstruction")
    return opened.apply(model.reconstruct, check_images(images, opened.spec), condition=condition)


def render_classes(opened: OpenedRun, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
    """Return images [n c h w] decoded with every class, [classes n c h w]: every value of the first attribute where several.

    The other attributes are those with which an image is encoded. Raises NotApplicable, UsageError.
    """
    if not opened.model.label_sizes:
        opened.label_condition("", len(images))  # raises NotApplicable, in words
    own = _own_labels(opened, images, condition)
    rendered = []
    for value in range(opened.model.label_sizes[0]):
        labels = torch.full((len(images),), value)
        if opened.spec.attributes:
            if own.labels is None:
                raise UsageError("images without labels cannot keep their other attributes: give a label for each of them")
            labels = own.labels.clone()
            labels[:, 0] = value
        rendered.append(_render(opened, images, own, Condition(labels)))
    return torch.stack(rendered)


def _render(opened: OpenedRun, images: Tensor, condition: Condition, wanted: Condition) -> Tensor:
    """Return images decoded with the wanted labels from the latents that they have with their own."""
    return decode(opened, encode(opened, images, _own_labels(opened, images, condition)), wanted)


def _own_labels(opened: OpenedRun, images: Tensor, condition: Condition) -> Condition:
    """Return the condition with which images are encoded: their labels, or the most probable ones where the model classifies."""
    model = opened.model
    if condition.labels is not None or not isinstance(model, Classifies) or not model.label_sizes:
        return condition
    probabilities = opened.apply(model.class_log_probabilities, check_images(images, opened.spec), condition=condition)
    return replace(condition, labels=every_label(model.label_sizes)[probabilities.argmax(1)])


def _run(opened: OpenedRun, settings: ReconstructConfig, progress: Progress) -> ApplicationResult:
    path = check_png(opened.run.output(settings.out, "reconstructions.png"))
    default = _COLUMNS if settings.label == _ALL else _COUNT
    if settings.input:
        images, condition = images_like(Path(settings.input), opened.spec, settings.count or default), UNCONDITIONAL
    else:
        batch = choose_images(opened.dataset.test, settings.count, settings.seed, default)
        images, condition = batch.images, model_condition(opened.model, batch)
    reconstructed = reconstruct(opened, images, condition)
    rows = [images, reconstructed, *_rendered(opened, images, condition, settings.label)]
    save_png(grid_of_rows(rows, _COLUMNS), path)
    error = float(((reconstructed - images) ** 2).mean())
    content = {"path": str(path), "count": len(images), "mse": error, "label": settings.label or None}
    below = {"": "", _ALL: " and the same with every class"}.get(settings.label, f" and the same with label {settings.label}")
    text = f"{len(images)} images, each above its reconstruction{below}, in {path} (mse {error:.4g})"
    return ApplicationResult(content, text)


def _rendered(opened: OpenedRun, images: Tensor, condition: Condition, label: str) -> list[Tensor]:
    """Return the images with the requested label, with every class, or nothing without a label."""
    if label == _ALL:
        return list(render_classes(opened, images, condition))
    return [reconstruct(opened, images, condition, label=label)] if label else []


def _section(opened: OpenedRun) -> ReportSection:
    real = overview_images(opened, overview_count(opened.spec.shape))
    columns = min(columns_for(opened.spec.shape, 16), len(real) // 2)
    rows = [real.rows(slice(start, start + columns)) for start in (0, columns)]
    alt = f"{columns} test images, each above its reconstruction"
    text = "Images of the test set, each above its reconstruction. Compare fine and rare detail, which is lost first."
    pairs = [(row.images, reconstruct(opened, row.images, model_condition(opened.model, row))) for row in rows]
    return ReportSection("Reconstructions", 12, (text,), tuple((Figure(grid_of_rows(pair, columns), alt),) for pair in pairs))


APPLICATION = Application(
    name="reconstruct",
    description=__doc__,
    settings=ReconstructConfig,
    needs=(Reconstructs,),
    run=_run,
    examples=(
        "simulacra reconstruct runs/first",
        "simulacra reconstruct runs/first --input photos/ --out mine.png",
        "simulacra reconstruct runs/conditional --label 5",
        "simulacra reconstruct runs/conditional --label all",
    ),
    setting_needs={"label": ("labels",)},
    section=_section,
    following=("evaluate {run}", "report {run}"),
)

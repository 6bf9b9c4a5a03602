"""Reconstruct images: originals, each above its reconstruction.

Test images are used unless --input names a folder, an archive or an image file of your own; those are fitted to the model's size.

--label renders images of a conditional model as another class: each image is encoded with its own label (the most probable one
where it has none) and its latents are decoded with the requested label; --label all does so for every class. The latents keep
what the label does not determine, such as slant and stroke width.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import Reconstructs
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import Config, option
from simulacra.core.family import model_condition
from simulacra.core.progress import Progress
from simulacra.data.load import named_images
from simulacra.data.own.skipped import skipped_facts, skipped_text
from simulacra.images.files import check_grid, save_png
from simulacra.images.grid import grid_of_rows, overview_count
from simulacra.images.section import Figure, ReportSection, columns_for
from simulacra.runs.image_to_image.reconstruction import reconstruct, render_classes
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path
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
    out: str = option("", f"a .png file (default: reconstructions.png {IN_IMAGES})")


def _run(opened: OpenedRun, settings: ReconstructConfig, progress: Progress) -> ApplicationResult:
    default = _COLUMNS if settings.label == _ALL else _COUNT
    rendered = {"": 0, _ALL: (opened.model.label_sizes or (0,))[0]}.get(settings.label, 1)
    path = output_path(opened.run, settings, "reconstructions", ".png")
    check_grid(path, (2 + rendered) * (settings.count or default), opened.spec.shape)
    skips, below_all = dict[str, Any](), ""
    if settings.input:
        found = named_images(Path(settings.input), opened.spec, settings.count or default)
        images, condition = found.images, UNCONDITIONAL
        skips = {"skipped": skipped_facts(found.skipped), "unused": found.unused}
        below_all = skipped_text(found.skipped, found.unused)
    else:
        batch = choose_images(opened.dataset.test, settings.count, settings.seed, default)
        images, condition = batch.images, model_condition(opened.model, batch)
    reconstructed = reconstruct(opened, images, condition)
    rows = [images, reconstructed, *_rendered(opened, images, condition, settings.label)]
    save_png(grid_of_rows(rows, _COLUMNS), path)
    error = float(((reconstructed - images) ** 2).mean())
    content = {"path": str(path), "count": len(images), "mse": error, "label": settings.label or None, **skips}
    below = {"": "", _ALL: " and the same with every class"}.get(settings.label, f" and the same with label {settings.label}")
    text = f"{len(images)} images, each above its reconstruction{below}, in {path} (mse {error:.4g})"
    return ApplicationResult(content, text + below_all)


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

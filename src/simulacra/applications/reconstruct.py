"""Reconstruct images: originals, each above its reconstruction.

Test images are used unless --input names a folder, an archive or an image file of your own; those are fitted to the model's size.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import Reconstructs, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import Config, option
from simulacra.core.family import model_condition
from simulacra.core.progress import Progress
from simulacra.data.load import images_like
from simulacra.images.files import check_png, save_png
from simulacra.images.grid import grid_of_rows, overview_count
from simulacra.images.section import Figure, ReportSection, columns_for
from simulacra.runs.opened import OpenedRun, check_images
from simulacra.runs.test_images import choose_images, overview_images

_COUNT, _COLUMNS = 32, 8  # images by default, and columns of the grid


@dataclass(frozen=True)
class ReconstructConfig(Config):
    """Settings of a reconstruction."""

    count: int = option(0, f"number of images; 0: {_COUNT}, or all where there are fewer", low=0)
    seed: int = option(0, "seed that chooses the test images", low=0)
    input: str = option("", "images of your own instead of test images: a file, folder or archive")
    out: str = option("", "a .png file (default: RUN/images/reconstructions.png)")


def reconstruct(opened: OpenedRun, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
    """Return the reconstructions of images [n c h w] in [0, 1]; raises NotApplicable, UsageError for another shape."""
    model = require(opened.model, Reconstructs, "reconstruction")
    return opened.apply(model.reconstruct, check_images(images, opened.spec), condition=condition)


def _run(opened: OpenedRun, settings: ReconstructConfig, progress: Progress) -> ApplicationResult:
    path = check_png(opened.run.output(settings.out, "reconstructions.png"))
    if settings.input:
        images, condition = images_like(Path(settings.input), opened.spec, settings.count or _COUNT), UNCONDITIONAL
    else:
        batch = choose_images(opened.dataset.test, settings.count, settings.seed, _COUNT)
        images, condition = batch.images, model_condition(opened.model, batch)
    reconstructed = reconstruct(opened, images, condition)
    save_png(grid_of_rows((images, reconstructed), _COLUMNS), path)
    error = float(((reconstructed - images) ** 2).mean())
    content = {"path": str(path), "count": len(images), "mse": error}
    return ApplicationResult(content, f"{len(images)} images, each above its reconstruction, in {path} (mse {error:.4g})")


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
    examples=("simulacra reconstruct runs/first", "simulacra reconstruct runs/first --input photos/ --out mine.png"),
    section=_section,
)

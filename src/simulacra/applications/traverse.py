"""Vary one latent dimension in each row, from low to high, while all others stay fixed.

Rows are ordered by the standard deviation of their latent over the data, largest first; the model does not use latents whose
rows do not change.
"""

from dataclasses import dataclass

import numpy as np

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, require
from simulacra.core.config import Config, option
from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import Progress
from simulacra.images.files import check_grid, save_png
from simulacra.images.grid import image_grid
from simulacra.images.section import Figure, ReportSection
from simulacra.runs.latent_paths.traversal import STEPS, traverse
from simulacra.runs.latent_space import latent_condition
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path
from simulacra.runs.test_images import overview_images

_REPORT_ROWS = 10  # latents in the report


@dataclass(frozen=True)
class TraverseConfig(Config):
    """Settings of a traversal."""

    image: int = option(0, "number of the test image whose other latents stay fixed", low=0)
    steps: int = option(STEPS, "number of images in a row", low=2)
    reach: float = option(3.0, "range on each side of the mean, in standard deviations", low=0)
    out: str = option("", f"a .png file (default: traversal.png {IN_IMAGES})")


def _run(opened: OpenedRun, settings: TraverseConfig, progress: Progress) -> ApplicationResult:
    path = output_path(opened.run, settings, "traversal", ".png")
    latents = require(opened.model, AMORTIZED_LATENT_SPACE, "traversal").latent_dim
    check_grid(path, latents * settings.steps, opened.spec.shape, "give fewer --steps")
    count = len(opened.dataset.test)
    if not count:
        raise DataError(f"{opened.dataset.name} has no test images to traverse from: train on data with more images")
    if settings.image >= count:
        raise UsageError(f"image is {settings.image}, expected between 0 and {count - 1}, the images in the test set")
    batch = opened.dataset.test.batch(np.array([settings.image]))
    images = traverse(opened, batch.images[0], settings.steps, settings.reach, latent_condition(opened, batch))
    save_png(image_grid(images.flatten(0, 1), settings.steps), path)
    return ApplicationResult({"path": str(path), "latents": len(images)}, f"{len(images)} latents, one in each row, in {path}")


def _section(opened: OpenedRun) -> ReportSection:
    batch = overview_images(opened, 1)
    rows = traverse(opened, batch.images[0], condition=latent_condition(opened, batch))[:_REPORT_ROWS]
    alt = f"One test image while {len(rows)} of its latents are varied, one in each row"
    text = (
        "One test image. In each row one of its latents takes values from 3 standard deviations below its mean (left) to 3 above "
        "(right); the others stay fixed. The latent with the largest standard deviation comes first. Look for rows that change "
        "one interpretable property (slant, thickness, colour). The model does not use latents whose rows do not change."
    )
    label = "mean - 3 standard deviations (left) to mean + 3 standard deviations (right)"
    figure = Figure(image_grid(rows.flatten(0, 1), STEPS), alt, label)
    return ReportSection("Latent traversal", 90, (text,), ((figure,),))


APPLICATION = Application(
    name="traverse",
    description=__doc__,
    settings=TraverseConfig,
    needs=(AMORTIZED_LATENT_SPACE,),
    run=_run,
    examples=("simulacra traverse runs/first", "simulacra traverse runs/first --image 5 --reach 2"),
    section=_section,
)

"""Score single images: reconstruction error and likelihood of each, in a table with one line for each image.

Test images are scored unless --split names other images of the data, or --input a folder, an archive or an image file of your
own; those are fitted to the model's size. Columns are those of `evaluate`, whose numbers are means over the test images: mse,
psnr_db and ssim of the reconstruction; negative_elbo_nats, and nll_nats with --particles importance samples. Higher errors and
nats mean images that the model represents worse. 'simulacra detect' decides which images are anomalous.
"""

from dataclasses import dataclass
from typing import Any

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import HasLikelihood, Reconstructs
from simulacra.core.config import option
from simulacra.core.progress import Progress
from simulacra.data.own.skipped import skipped_facts, skipped_text
from simulacra.images.files import check_table, write_table
from simulacra.metrics.image_scores import PARTICLES, image_scores
from simulacra.runs.named_split import NamedSplitConfig, named_split
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path


@dataclass(frozen=True)
class ScoresConfig(NamedSplitConfig):
    """Settings of the scores of single images."""

    particles: int = option(PARTICLES, "number of importance samples per image for nll_nats; 0: leave it out", low=0)
    seed: int = option(0, "seed of the latents of the likelihoods", low=0)
    out: str = option("", f"a .csv or .json file (default: scores.csv {IN_IMAGES})")


def _run(opened: OpenedRun, settings: ScoresConfig, progress: Progress) -> ApplicationResult:
    path = check_table(output_path(opened.run, settings, "scores", ".csv"))
    chosen = named_split(opened, settings)
    scores = image_scores(opened, chosen.split, settings.particles, settings.seed, progress)
    labels = chosen.label_names(opened.spec)
    columns: dict[str, Any] = {"file": chosen.names, **({"label": labels} if labels else {})}
    columns |= {name: values.tolist() for name, values in scores.items()}
    rows = list(zip(*columns.values(), strict=True))
    means = {name: float(values.mean()) for name, values in scores.items()}
    content = {"path": str(path), "count": len(rows), "mean": means, "skipped": skipped_facts(chosen.skipped)}
    write_table(path, list(columns), rows, {**content, "images": [dict(zip(columns, row, strict=True)) for row in rows]})
    shown = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    skipped = skipped_text(chosen.skipped, chosen.unused)
    return ApplicationResult(
        {**content, "unused": chosen.unused}, f"{len(rows):,} images scored, mean {shown}, in {path}{skipped}"
    )


APPLICATION = Application(
    name="scores",
    description=__doc__,
    settings=ScoresConfig,
    needs=(Reconstructs, HasLikelihood),
    run=_run,
    examples=(
        "simulacra scores runs/first",
        "simulacra scores runs/first --input photos/ --out scores.csv",
        "simulacra scores runs/first --split train --particles 0",
    ),
    setting_needs={"particles": (HasLikelihood,), "seed": (HasLikelihood,)},
)

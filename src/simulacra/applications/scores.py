"""Score single images: reconstruction error and likelihood of each, in a table with one line for each image.

Test images are scored unless --split names other images of the data, or --input a folder, an archive or an image file of your
own; those are fitted to the model's size. Columns are those of `evaluate`, whose numbers are means over the test images: mse,
psnr_db and ssim of the reconstruction; negative_elbo_nats, and nll_nats with --particles importance samples. Higher errors and
nats mean images that the model represents worse. 'simulacra detect' decides which images are anomalous.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import HasLikelihood, Reconstructs
from simulacra.core.config import Config, option
from simulacra.core.eval_mode import inference_mode
from simulacra.core.finite import require_finite
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Split
from simulacra.images.files import check_table, write_table
from simulacra.metrics.reconstruction import reconstruction_scores
from simulacra.metrics.statistics.likelihoods import split_bound, split_nll
from simulacra.runs.named_split import named_split
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path

_PARTICLES = 50  # as in `evaluate`


@dataclass(frozen=True)
class ScoresConfig(Config):
    """Settings of the scores of single images."""

    split: Literal["test", "validation", "train"] = option("test", "images of the data to score")
    input: str = option("", "images of your own instead: a file, folder or archive")
    count: int = option(0, "number of images, the first; 0: all", low=0)
    particles: int = option(_PARTICLES, "number of importance samples per image for nll_nats; 0: leave it out", low=0)
    seed: int = option(0, "seed of the latents of the likelihoods", low=0)
    out: str = option("", f"a .csv or .json file (default: scores.csv {IN_IMAGES})")


def image_scores(
    opened: OpenedRun, split: Split, particles: int = _PARTICLES, seed: int = 0, progress: Progress = SILENT
) -> dict[str, Tensor]:
    """Return scores [n] of the images of a split by name, as `evaluate` averages them: those that the model supports.

    With the whole test split and the same seed, the means are the numbers of `evaluate`. Raises NonFiniteError.
    """
    model, found = opened.model, dict[str, Tensor]()
    passes = isinstance(model, Reconstructs) + isinstance(model, HasLikelihood) * (1 + (particles > 0))
    with inference_mode(model), progress.task("scoring", passes * len(split), "images") as meter:
        if isinstance(model, Reconstructs):
            found |= reconstruction_scores(model, split, meter)
        if isinstance(model, HasLikelihood):
            bound = split_bound(model, split, seed, meter)
            found["negative_elbo_nats"] = bound.rate + bound.distortion
            if particles:
                found["nll_nats"] = split_nll(model, split, particles, seed, meter)[0]
    return {name: require_finite(values.double(), f"values of {name}") for name, values in found.items()}


def _run(opened: OpenedRun, settings: ScoresConfig, progress: Progress) -> ApplicationResult:
    path = check_table(output_path(opened.run, settings, "scores", ".csv"))
    chosen = named_split(opened, settings.split, settings.count, settings.input)
    scores = image_scores(opened, chosen.split, settings.particles, settings.seed, progress)
    labels = chosen.label_names(opened.spec)
    columns: dict[str, Any] = {"file": chosen.names, **({"label": labels} if labels else {})}
    columns |= {name: values.tolist() for name, values in scores.items()}
    rows = list(zip(*columns.values(), strict=True))
    means = {name: float(values.mean()) for name, values in scores.items()}
    content = {"path": str(path), "count": len(rows), "mean": means, "skipped": len(chosen.skipped)}
    write_table(path, list(columns), rows, {**content, "images": [dict(zip(columns, row, strict=True)) for row in rows]})
    shown = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    skipped = f"; {len(chosen.skipped):,} files skipped, such as {chosen.skipped[0].name}" if chosen.skipped else ""
    return ApplicationResult(content, f"{len(rows):,} images scored, mean {shown}, in {path}{skipped}")


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

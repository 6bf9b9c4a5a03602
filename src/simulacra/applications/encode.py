"""Encode images to latents: an array, or a table with one line for each image.

Test images are encoded unless --split names other images of the data, or --input a folder, an archive or an image file of your
own; those are fitted to the model's size. Latents are those of `model.encode(images)` in Python: of a VAE the mean of the
posterior, of a diffusion or flow model the noise that its sampler maps to the image.

The suffix of --out determines the form: .npz holds the arrays `latents` (float32, n x d) and `names`, and with labels `labels`
and `label_names`; .csv has a line for each image with the columns file, label, z0, z1, and so on. Images of --input have the
names of their files, images of a split their numbers in it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import LatentSpace, require
from simulacra.core.config import option
from simulacra.core.progress import Progress
from simulacra.data.own.skipped import skipped_facts, skipped_text
from simulacra.images.files import check_form
from simulacra.images.latents import latents_writer
from simulacra.runs.latent_space import encode, latent_condition
from simulacra.runs.named_split import NamedSplitConfig, named_split
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path

_CHUNK = 256  # images that are encoded at once


@dataclass(frozen=True)
class EncodeConfig(NamedSplitConfig):
    """Settings of an encoding."""

    out: str = option("", f"a .npz or .csv file (default: latents.npz {IN_IMAGES})")


def _run(opened: OpenedRun, settings: EncodeConfig, progress: Progress) -> ApplicationResult:
    model = require(opened.model, LatentSpace, "encoding")
    path = check_form(output_path(opened.run, settings, "latents", ".npz"), "a set of latents", ".npz", ".csv")
    chosen = named_split(opened, settings)
    count = len(chosen.names)
    with progress.task("encoding", count, "images") as meter, latents_writer(path, chosen, opened.spec) as write:
        for start in range(0, count, _CHUNK):
            batch = chosen.split.batch(np.arange(start, min(start + _CHUNK, count)))
            write(start, encode(opened, batch.images, latent_condition(opened, batch)).float().numpy())
            meter.advance(len(batch))
    what = "images" if settings.input else f"{settings.split} images"
    content: dict[str, Any] = {"path": str(path), "count": count, "latent_dim": model.latent_dim, "prior": model.prior}
    content |= {"images": settings.input or settings.split, "skipped": skipped_facts(chosen.skipped), "unused": chosen.unused}
    skipped = skipped_text(chosen.skipped, chosen.unused)
    return ApplicationResult(content, f"{count:,} {what} encoded to {model.latent_dim} latents each, in {path}{skipped}")


APPLICATION = Application(
    name="encode",
    description=__doc__,
    settings=EncodeConfig,
    needs=(LatentSpace,),
    run=_run,
    examples=(
        "simulacra encode runs/first",
        "simulacra encode runs/first --split train --out latents.csv",
        "simulacra encode runs/first --input photos/ --out photos.npz",
    ),
)

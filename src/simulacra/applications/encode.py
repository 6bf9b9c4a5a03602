"""Encode images to latents: an array, or a table with one line for each image.

Test images are encoded unless --split names other images of the data, or --input a folder, an archive or an image file of your
own; those are fitted to the model's size. Latents are those of `model.encode(images)` in Python: of a VAE the mean of the
posterior, of a diffusion or flow model the noise that its sampler maps to the image.

The suffix of --out determines the form: .npz holds the arrays `latents` (float32, n x d) and `names`, and with labels `labels`
and `label_names`; .csv has a line for each image with the columns file, label, z0, z1, and so on. Images of --input have the
names of their files, images of a split their numbers in it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import LatentSpace, require
from simulacra.core.config import Config, option
from simulacra.core.csv_text import csv_text
from simulacra.core.files import write_text
from simulacra.core.progress import Progress
from simulacra.images.arrays import npz_writer
from simulacra.images.files import check_form, make_folder
from simulacra.runs.latent_space import encode, latent_condition
from simulacra.runs.named_split import NamedSplit, named_split
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path

_CHUNK = 256  # images that are encoded at once


@dataclass(frozen=True)
class EncodeConfig(Config):
    """Settings of an encoding."""

    split: Literal["test", "validation", "train"] = option("test", "images of the data to encode")
    input: str = option("", "images of your own instead: a file, folder or archive")
    count: int = option(0, "number of images, the first; 0: all", low=0)
    out: str = option("", f"a .npz or .csv file (default: latents.npz {IN_IMAGES})")


Write = Callable[[int, np.ndarray], None]
"""Writes the latents [b d] of the images from a number on."""


def _run(opened: OpenedRun, settings: EncodeConfig, progress: Progress) -> ApplicationResult:
    model = require(opened.model, LatentSpace, "encoding")
    path = check_form(output_path(opened.run, settings, "latents", ".npz"), "a set of latents", ".npz", ".csv")
    chosen = named_split(opened, settings.split, settings.count, settings.input)
    count = len(chosen.names)
    writer = _arrays if path.suffix.lower() == ".npz" else _table
    with progress.task("encoding", count, "images") as meter, writer(path, chosen, chosen.label_names(opened.spec)) as write:
        for start in range(0, count, _CHUNK):
            batch = chosen.split.batch(np.arange(start, min(start + _CHUNK, count)))
            write(start, encode(opened, batch.images, latent_condition(opened, batch)).float().numpy())
            meter.advance(len(batch))
    what = "images" if settings.input else f"{settings.split} images"
    content: dict[str, Any] = {"path": str(path), "count": count, "latent_dim": model.latent_dim, "prior": model.prior}
    content |= {"images": settings.input or settings.split, "skipped": len(chosen.skipped)}
    skipped = f"; {len(chosen.skipped):,} files skipped, such as {chosen.skipped[0].name}" if chosen.skipped else ""
    return ApplicationResult(content, f"{count:,} {what} encoded to {model.latent_dim} latents each, in {path}{skipped}")


@contextmanager
def _arrays(path: Path, chosen: NamedSplit, labels: list[str]) -> Iterator[Write]:
    """Write an .npz file in parts."""
    with npz_writer(path, len(chosen.names)) as write:

        def write_rows(start: int, latents: np.ndarray) -> None:
            rows = slice(start, start + len(latents))
            arrays = {"latents": latents, "names": np.array(chosen.names[rows])}
            if labels and chosen.split.labels is not None:
                arrays |= {"labels": chosen.split.labels[rows], "label_names": np.array(labels[rows])}
            write(start, arrays)

        yield write_rows


@contextmanager
def _table(path: Path, chosen: NamedSplit, labels: list[str]) -> Iterator[Write]:
    """Write a .csv file when all latents are known."""
    parts = list[np.ndarray]()
    yield lambda start, latents: parts.append(latents)
    latents = np.concatenate(parts)
    columns = ["file", *(["label"] if labels else []), *(f"z{number}" for number in range(latents.shape[1]))]
    known = zip(chosen.names, labels, strict=True) if labels else zip(chosen.names, strict=True)
    make_folder(path.parent)
    write_text(path, csv_text(columns, ([*own, *row.tolist()] for own, row in zip(known, latents, strict=True))))


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

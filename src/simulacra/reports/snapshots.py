"""Images that a training saved at several of its steps, one row of each, for the run report."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Reconstructs, Samples, Translates, supports
from simulacra.images.animation import evenly_spaced, step_text
from simulacra.images.grid import GAP, are_points, row_height
from simulacra.reports.embedded import EmbeddedImage, embed
from simulacra.runs.opened import OpenedRun

_STEPS = 9  # steps of the training that are displayed
_POINT_COLUMNS = 6  # scatter plots take this part of the width


@dataclass(frozen=True)
class Snapshots:
    """Images of one kind at several steps of the training, below each other. folder: where they are saved, in the run."""

    title: str
    text: str
    folder: str
    images: tuple[EmbeddedImage, ...]


def snapshots(opened: OpenedRun) -> list[Snapshots]:
    """Return the snapshots of everything that the model supports; without images where there are none."""
    run, model, found = opened.run, opened.model, []
    if supports(model, Samples):
        text = (
            "Each column is generated from the same noise at successive steps of the training. Where the last rows no longer "
            "change, longer training improves little."
        )
        found.append(_snapshots("Samples", text, run.path, run.samples, opened.spec, pairs=False))
    if supports(model, Reconstructs):
        text = "Top: validation images. Below: their reconstructions at successive steps of the training."
        found.append(_snapshots("Reconstructions", text, run.path, run.reconstructions, opened.spec, pairs=True))
    if supports(model, Translates):
        for to in reversed(model.domains):
            text = f"Top: validation images of the other domain. Below: their translations to {to} at successive training steps."
            title, spec = f"Translations to {to}", _largest(opened.spec)
            found.append(_snapshots(title, text, run.path, run.translations(to), spec, pairs=True))
    return found


def _largest(spec: DataSpec) -> DataSpec:
    """Return the shape of images as large as those of every domain, which is that of grids of both."""
    shapes = [domain.shape for domain in (spec, *spec.domains.values())]
    channels, height, width = (max(side) for side in zip(*shapes, strict=True))
    return DataSpec(channels, height, width)


def _snapshots(title: str, text: str, run: Path, folder: Path, spec: DataSpec, *, pairs: bool) -> Snapshots:
    """Return the first row of each saved grid; of pairs the second one, below the originals of the last grid."""
    images = _rows(folder, int(pairs), spec)
    if pairs:
        images = [replace(image, label="original", alt="Originals") for image in _rows(folder, 0, spec)[-1:]] + images
    return Snapshots(title, text, folder.relative_to(run).as_posix(), tuple(images))


def _rows(folder: Path, row: int, spec: DataSpec) -> list[EmbeddedImage]:
    """Return one row of the grids in a folder, at steps from the first to the last; unreadable files are skipped."""
    images, columns = [], _POINT_COLUMNS if are_points(spec.shape) else 1
    for path in evenly_spaced(sorted(folder.glob("step_*.png")), _STEPS):
        try:
            step = step_text(path)
            with Image.open(path) as image:
                images.append(embed(_cropped(image, row, spec), f"Snapshot at {step}", step, columns))
        except (OSError, ValueError, SyntaxError):  # another file name, or a damaged file as Pillow reports it
            continue
    return images


def _cropped(image: Image.Image, row: int, spec: DataSpec) -> Image.Image:
    height = row_height(spec.height, spec.width)
    top = row * (height + GAP)
    return image.crop((0, top, image.width, min(top + height, image.height)))

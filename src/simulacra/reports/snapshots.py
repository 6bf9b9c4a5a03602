"""Images that a training saved at several of its steps, one row of each, for the run report."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Reconstructs, Samples, Translates, supports
from simulacra.images.animation import evenly_spaced, step_text
from simulacra.images.grid import GAP, are_points, row_height
from simulacra.images.section import largest_shape
from simulacra.reports.page import EmbeddedImage, embed
from simulacra.runs.opened import OpenedRun

_STEPS = 9  # steps of the training that are displayed
_POINT_COLUMNS = 6  # scatter plots take this part of the width
_SAMPLES = (
    "Each column is generated from the same noise at successive steps of the training. Where the last rows no longer change, "
    "longer training improves little."
)


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
        found.append(_snapshots("Samples", _SAMPLES, run.path, run.samples, opened.spec, pairs=False))
    if supports(model, Reconstructs):
        text = "Top: validation images. Below: their reconstructions at successive steps of the training."
        found.append(_snapshots("Reconstructions", text, run.path, run.reconstructions, opened.spec, pairs=True))
    if supports(model, Translates):
        spec = DataSpec(*largest_shape(opened.spec))
        for to in reversed(model.domains):
            text = f"Top: validation images of the other domain. Below: their translations to {to} at successive training steps."
            found.append(_snapshots(f"Translations to {to}", text, run.path, run.translations(to), spec, pairs=True))
    return found


def _snapshots(title: str, text: str, run: Path, folder: Path, spec: DataSpec, *, pairs: bool) -> Snapshots:
    """Return the first row of each saved grid; of pairs the second one, below the originals of the last grid."""
    images = _rows(folder, int(pairs), spec)
    if pairs:
        images = [replace(image, label="original", alt="Originals") for image in _rows(folder, 0, spec)[-1:]] + images
    return Snapshots(title, text, folder.relative_to(run).as_posix(), tuple(images))


def _rows(folder: Path, row: int, spec: DataSpec) -> list[EmbeddedImage]:
    """Return one row of the grids in a folder, at steps from the first to the last; unreadable files are skipped."""
    images, height = [], row_height(spec.height, spec.width)
    columns = _POINT_COLUMNS if are_points(spec.shape) else 1
    for path in evenly_spaced(sorted(folder.glob("step_*.png")), _STEPS):
        try:
            step = step_text(path)
            with Image.open(path) as image:
                top = row * (height + GAP)
                cropped = image.crop((0, top, image.width, min(top + height, image.height)))
                images.append(embed(cropped, f"Snapshot at {step}", step, columns))
        except (OSError, ValueError, SyntaxError):  # another file name, or a damaged file as Pillow reports it
            continue
    return images

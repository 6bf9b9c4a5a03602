"""Images that a training saved at several of its steps, one row of each, for the run report."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Reconstructs, Restores, Samples, Translates, supports
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
_RESTORATIONS = (
    "Top: degraded validation images (missing pixels are grey), and their originals. Below: one restoration of each, from the "
    "same noise at successive steps of the training."
)


@dataclass(frozen=True)
class _Grid:
    """Which rows of the saved grids are displayed. row: of every step; above: of the last one, by their labels."""

    row: int = 0
    above: tuple[tuple[str, int], ...] = ()


_SAMPLED, _PAIRS, _RESTORED = _Grid(), _Grid(1, (("original", 0),)), _Grid(1, (("degraded", 0), ("original", -1)))


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
        found.append(_snapshots("Samples", _SAMPLES, run.path, run.samples, opened.spec, grid=_SAMPLED))
    if supports(model, Reconstructs):
        text = "Top: validation images. Below: their reconstructions at successive steps of the training."
        found.append(_snapshots("Reconstructions", text, run.path, run.reconstructions, opened.spec, grid=_PAIRS))
    if supports(model, Restores) and "image" in model.accepts:
        found.append(_snapshots("Restorations", _RESTORATIONS, run.path, run.restorations, opened.spec, grid=_RESTORED))
    if supports(model, Translates):
        spec = DataSpec(*largest_shape(opened.spec))
        for to in reversed(model.domains):
            title = opened.spec.domain_title(to)
            text = (
                f"Top: validation images of the other domain. Below: their translations to {title} at successive training steps."
            )
            found.append(_snapshots(f"Translations to {title}", text, run.path, run.translations(to), spec, grid=_PAIRS))
    return found


def _snapshots(title: str, text: str, run: Path, folder: Path, spec: DataSpec, *, grid: _Grid) -> Snapshots:
    """Return one row of each saved grid, below those of the last grid that are displayed once."""
    last = ((label, _rows(folder, row, spec)[-1:]) for label, row in grid.above)
    once = [replace(image, label=label, alt=label.capitalize()) for label, images in last for image in images]
    return Snapshots(title, text, folder.relative_to(run).as_posix(), (*once, *_rows(folder, grid.row, spec)))


def _rows(folder: Path, row: int, spec: DataSpec) -> list[EmbeddedImage]:
    """Return one row of the grids in a folder, at steps from the first to the last; -1 is the last row.

    Unreadable files are skipped.
    """
    images, height = [], row_height(spec.height, spec.width)
    columns = _POINT_COLUMNS if are_points(spec.shape) else 1
    for path in evenly_spaced(sorted(folder.glob("step_*.png")), _STEPS):
        try:
            step = step_text(path)
            with Image.open(path) as image:
                top = row * (height + GAP) if row >= 0 else image.height - height
                cropped = image.crop((0, top, image.width, min(top + height, image.height)))
                images.append(embed(cropped, f"Snapshot at {step}", step, columns))
        except (OSError, ValueError, SyntaxError):  # another file name, or a damaged file as Pillow reports it
            continue
    return images

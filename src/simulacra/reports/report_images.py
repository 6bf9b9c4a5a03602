"""The pictures of a report, chosen by what the model can do, as PNG inside the page."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL import Image
from torch import Tensor

from simulacra.applications.translate import there_and_back
from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import (
    AMORTIZED_LATENT_SPACE,
    Capability,
    LatentSpace,
    Need,
    Reconstructs,
    Samples,
    SamplesIteratively,
    Translates,
    supports,
)
from simulacra.core.errors import SimulacraError
from simulacra.core.eval_mode import inference
from simulacra.core.progress import Progress
from simulacra.core.randomness import noise
from simulacra.images import grid as pictures
from simulacra.images.animation import spread, step_of

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

_SNAPSHOTS = 9  # moments of the training that are shown
_FRAMES = 6  # share of the width of a scatter plot in a film
_SNAPSHOT_COLUMNS = 8  # images in a row of a snapshot, as the observer saves it
_PAIRS, _STEPS = 6, 11  # interpolations, and images on the way
_EMERGING = 4  # images whose way from noise is shown
_ROWS = 10  # latents that are traversed
_WIDEST = 1200  # pixels of a picture; wider ones are shrunk
_COMFORTABLE = 1040  # pixels of a grid; wider images stand in fewer columns


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: a data URI with its size in pixels, what it shows, and a label beside it."""

    source: str
    width: int
    height: int
    alt: str
    label: str = ""


@dataclass(frozen=True)
class Gallery:
    """The pictures of each section that the model's capabilities call for; none where `problem` says why there are no data."""

    pictures: Mapping[str, tuple[Picture, ...]]
    problem: str


Draw = Callable[["OpenedRun", Batch], tuple[Picture, ...]]


def gallery(trained: "OpenedRun", progress: Progress) -> Gallery:
    """Return all pictures of a report."""
    model = trained.model
    wanted = {name: drawn for name, (needed, drawn) in _DRAWN.items() if supports(model, needed)}
    shown: dict[str, tuple[Picture, ...]] = _films(trained) | dict.fromkeys(wanted, ())
    problem, real = "", None
    with progress.task("drawing the report", len(wanted) + 1, "pictures") as meter:
        try:
            real = _real_images(trained)
            for name, drawn in wanted.items():
                shown[name] = drawn(trained, real)
                meter.advance()
        except SimulacraError as error:
            problem = str(error)
        if isinstance(model, Samples):
            shown["generated"] = _generated(trained, real)
            shown |= {} if "interpolations" in wanted else {"noise_ways": _noise_ways(trained)}
        meter.advance()
    return Gallery(shown, problem)


def _real_images(trained: "OpenedRun") -> Batch:
    """Return test images for a picture; raises SimulacraError where they cannot be had, or are others than at the training."""
    data = trained.run.check_data(trained.dataset)
    for held in (data, *data.domains.values()):
        if min(len(held.test), len(held.validation)) < 2:
            raise SimulacraError(f"there are only {len(held.test)} images for testing and {len(held.validation)} for validation")
    return data.test.head(pictures.enough(trained.spec.shape))


# --- what is drawn from test images


def _real(trained: "OpenedRun", real: Batch) -> tuple[Picture, ...]:
    count, columns = grid_size(trained.spec, real)
    return (drawing(real.images[:count], columns, "Real images of the test set"),)


def _generated(trained: "OpenedRun", real: Batch | None) -> tuple[Picture, ...]:
    count, columns = grid_size(trained.spec, real)
    return (drawing(trained.sample(count), columns, "Images generated from noise"),)


def grid_size(spec: DataSpec, real: Batch | None) -> tuple[int, int]:
    """Return count and columns of the images that stand side by side, as many as there are real ones, in whole rows."""
    columns = columns_of(spec, 8)
    most = min(columns**2, pictures.enough(spec.shape))
    count = most if real is None else min(most, len(real))
    return (count // columns * columns, columns) if count >= columns else (count, count)


def _reconstructions(trained: "OpenedRun", real: Batch) -> tuple[Picture, ...]:
    """Return two strips, each a row of originals above a row of reconstructions."""
    columns = min(columns_of(trained.spec, 16), len(real) // 2)
    alt = f"{columns} test images, each above its reconstruction"
    return tuple(
        _embedded(pictures.picture_of_pairs(shown, trained.reconstruct(shown), columns), alt)
        for shown in real.images[: 2 * columns].split(columns)
    )


def _interpolations(trained: "OpenedRun", real: Batch) -> tuple[Picture, ...]:
    """Return starts, ways and ends, one a row: test images of different classes where there are classes."""
    pairs = [(index, index + 1) for index in range(0, len(real) - 1, 2)]
    if (labels := real.labels) is not None:
        pairs.sort(key=lambda pair: bool(labels[pair[0]] == labels[pair[1]]))
    starts, ends = (real.images[list(side)] for side in zip(*pairs[:_PAIRS], strict=True))
    ways = trained.interpolate(starts, ends, _STEPS).flatten(0, 1)
    return (
        drawing(starts, 1, "Test images to start from", _STEPS),
        drawing(ways, _STEPS, f"{len(starts)} ways through the latent space, one in each row"),
        drawing(ends, 1, "Test images to arrive at", _STEPS),
    )


def _noise_ways(trained: "OpenedRun") -> tuple[Picture, ...]:
    ways = trained.interpolate_noise(_PAIRS, _STEPS).flatten(0, 1)
    return (drawing(ways, _STEPS, f"{_PAIRS} ways between images generated from noise, one in each row"),)


def _emergence(trained: "OpenedRun", real: Batch) -> tuple[Picture, ...]:
    """Return two strips: a test image on its way to noise, and noise on its way to images, some at once."""
    model = cast(SamplesIteratively, trained.model)
    moments = columns_of(trained.spec, _STEPS)
    with inference(trained.model):
        drawn = noise(0, 0, _EMERGING, model.noise_shape)
        drowned = model.forward_process(real.images[:1], drawn[:1], moments).transpose(0, 1)
        emerging = model.reverse_process(drawn, moments).transpose(0, 1)
    return (
        drawing(drowned.flatten(0, 1), moments, "A test image on its way to noise, at evenly spaced times"),
        drawing(emerging.flatten(0, 1), moments, f"{_EMERGING} images on their way from noise, one in each row"),
    )


def _traversal(trained: "OpenedRun", real: Batch) -> tuple[Picture, ...]:
    rows = trained.traverse(real.images[0], _STEPS)[:_ROWS]
    return (drawing(rows.flatten(0, 1), _STEPS, f"One test image while {len(rows)} of its latents are moved, one in each row"),)


def _translations(trained: "OpenedRun", real: Batch) -> tuple[Picture, ...]:
    """Return for each direction a strip of images, their translations, and what these return to."""
    model, strips = cast(Translates, trained.model), []
    for to in reversed(model.domains):  # the way out from the first domain comes first
        source = trained.source_of(to)
        images = trained.dataset[source].test.head(columns_of(_joint(trained.spec), 16))
        with inference(trained.model):
            rows = there_and_back(model, images.images, to)
        alt = f"Test images of {source}, their translations to {to}, and what these return to"
        label = f"{source} → {to} → {source}"
        strips.append(_embedded(pictures.picture_of_rows(rows, len(images)), alt, label))
    return tuple(strips)


def _joint(spec: DataSpec) -> DataSpec:
    """Return the shape of images that hold those of every domain."""
    shapes = [domain.shape for domain in (spec, *spec.domains.values())]
    channels, height, width = (max(side) for side in zip(*shapes, strict=True))
    return DataSpec(channels, height, width)


_DRAWN: dict[str, tuple[type[Capability] | Need[Any], Draw]] = {
    "real": (Samples, _real),
    "reconstructions": (Reconstructs, _reconstructions),
    "interpolations": (LatentSpace, _interpolations),
    "emergence": (SamplesIteratively, _emergence),
    "traversal": (AMORTIZED_LATENT_SPACE, _traversal),
    "translations": (Translates, _translations),
}


# --- films: one row of pictures at several moments of the training


def _films(trained: "OpenedRun") -> dict[str, tuple[Picture, ...]]:
    run, films = trained.run, {}
    if isinstance(trained.model, Samples):
        films["sample_film"] = tuple(_film(run.samples, 0, trained.spec))
    if isinstance(trained.model, Reconstructs):
        folder = run.path / "reconstructions"
        originals = [replace(frame, label="original", alt="Originals") for frame in _film(folder, 0, trained.spec)[-1:]]
        films["reconstruction_film"] = (*originals, *_film(folder, 1, trained.spec))
    if isinstance(trained.model, Translates):
        for to in trained.model.domains:
            folder, spec = run.path / "translations" / f"to_{to}", _joint(trained.spec)
            originals = [replace(frame, label="original", alt="Originals") for frame in _film(folder, 0, spec)[-1:]]
            films[f"translation_film_{to}"] = (*originals, *_film(folder, 1, spec))
    return films


def _film(folder: Path, row: int, spec: DataSpec) -> list[Picture]:
    """Return one row of the snapshots in a folder, at moments from the first to the last; unreadable ones are left out."""
    frames, shares = [], _FRAMES if pictures.are_points(spec.shape) else 1
    for path in spread(sorted(folder.glob("step_*.png")), _SNAPSHOTS):
        try:
            step = step_of(path)
            with Image.open(path) as picture:
                frames.append(_embedded(_cropped(picture, row, spec), f"Snapshot at {step}", step, shares))
        except (OSError, ValueError, SyntaxError):  # a foreign name, or a broken file as Pillow reports it
            continue
    return frames


def _cropped(picture: Image.Image, row: int, spec: DataSpec) -> Image.Image:
    """Return a row of a grid."""
    height = pictures.row_height(spec.height, spec.width)
    top = row * (height + pictures.GAP)
    return picture.crop((0, top, picture.width, min(top + height, picture.height)))


# --- pictures


def columns_of(spec: DataSpec, most: int) -> int:
    """Return how many images stand in a row of a comfortably wide grid; half of all, where points make one scatter plot."""
    if pictures.are_points(spec.shape):
        return pictures.enough(spec.shape) // 2
    width = pictures.enlargement(spec.height, spec.width) * spec.width + pictures.GAP
    return max(2, min(most, _COMFORTABLE // width))


def drawing(images: Tensor, columns: int, alt: str, shares: int = 1) -> Picture:
    """Return a grid of images [n c h w], or the scatter plot of points, as part of a page."""
    return _embedded(pictures.picture_of(images, columns), alt, shares=shares)


def _embedded(picture: Image.Image, alt: str, label: str = "", shares: int = 1) -> Picture:
    """Return a picture as part of the page, shrunk if it is wider than its share of the widest."""
    widest = _WIDEST // shares
    if picture.width > widest:
        picture = picture.resize((widest, round(picture.height * widest / picture.width)), Image.Resampling.LANCZOS)
    source = "data:image/png;base64," + base64.b64encode(pictures.png(picture)).decode()
    return Picture(source, picture.width, picture.height, alt, label)

"""Anomalous images for evaluation: corrupted test images, images of other classes, of other data sets and of folders."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from simulacra.anomaly.training_images import images_of
from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, UsageError, unknown
from simulacra.core.home import expand_home
from simulacra.core.progress import Progress
from simulacra.core.randomness import derive
from simulacra.data import only_classes
from simulacra.data.dataset import levels, to_floats
from simulacra.data.formats.fitting import fit
from simulacra.data.formats.refused import Refused
from simulacra.data.load import load, named_images
from simulacra.data.locations import exists
from simulacra.data.settings import WITH_PATH, DataConfig, DomainsConfig, without_transforms
from simulacra.data.source import Pixels
from simulacra.data.sources import sources
from simulacra.runs.opened import OpenedRun

_SEED = 0
_SIGMA = 0.2  # standard deviation of added noise
_BLUR = 1 / 14  # standard deviation of blur, as a share of the shorter side: 2 pixels of 28
_ANGLES = (45.0, 135.0)  # degrees
_CUT = 1 / 3  # side of the cut-out square, as a share of the shorter side
OTHER_CLASS, DEFECTS = "other-class", "textures-defects"
_DEFECT_COUNT = 600


@dataclass(frozen=True)
class Anomalies:
    """Anomalous images of one kind: float [n c h w] in [0, 1], what they are in words, and masks bool [n h w] where known."""

    kind: str
    images: Tensor
    description: str
    masks: Tensor | None = None


def anomalies(opened: OpenedRun, kind: str, count: int, masks: str, progress: Progress) -> Anomalies:
    """Return anomalous images of a kind, at most `count`, unless it is 0.

    kind: a name of CORRUPTIONS, `other-class`, `textures-defects`, the name of a data set, or a path; masks: a folder of masks
    for the images of a path, empty for none. Raises UsageError for an unknown kind or one that this run does not have,
    DataError.
    """
    if kind in CORRUPTIONS:
        return _corrupted(opened, kind, count)
    if kind == OTHER_CLASS:
        return Anomalies(kind, _other_classes(opened, count, progress), "test images of the classes that were not trained on")
    if kind == DEFECTS:
        return _defects(opened, count)
    if without_transforms(kind) in _data_sets():
        return Anomalies(kind, _data_set(opened, kind, count, progress), f"test images of {kind}")
    path = expand_home(kind)
    if exists(path):
        return _folder(path, opened.spec, count, expand_home(masks) if masks else None)
    raise unknown("kind of anomalies (and no such folder here)", kind, [*CORRUPTIONS, OTHER_CLASS, DEFECTS, *_data_sets()])


def takes_masks(kind: str) -> bool:
    """Return whether a kind of anomalies is a path, whose images can have masks of one's own."""
    return kind not in {*CORRUPTIONS, OTHER_CLASS, DEFECTS} and without_transforms(kind) not in _data_sets()


# --- corrupted test images: from images [n c h w] and a generator for each to images [n c h w]


def _noisy(images: Tensor, draws: list[torch.Generator]) -> Tensor:
    return images + _SIGMA * torch.stack(
        [torch.randn(image.shape, generator=draw) for image, draw in zip(images, draws, strict=True)]
    )


def _blurred(images: Tensor, draws: list[torch.Generator]) -> Tensor:
    sigma = _BLUR * min(images.shape[2:])
    reach = min(math.ceil(3 * sigma), min(images.shape[2:]) - 1)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * max(sigma, 1e-3) ** 2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    across = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(across, kernel.transpose(2, 3), groups=images.shape[1])


def _rotated(images: Tensor, draws: list[torch.Generator]) -> Tensor:
    low, high = _ANGLES
    drawn = torch.stack([torch.rand(2, generator=draw) for draw in draws])
    angles = torch.deg2rad(low + (high - low) * drawn[:, 0]) * torch.where(drawn[:, 1] < 0.5, -1.0, 1.0)
    ratio = images.shape[2] / images.shape[3]  # the grid is in units of half a side
    rows = [torch.stack([angles.cos(), -angles.sin() * ratio], 1), torch.stack([angles.sin() / ratio, angles.cos()], 1)]
    matrices = torch.cat([torch.stack(rows, 1), torch.zeros(len(images), 2, 1)], 2)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _cut_out(images: Tensor, draws: list[torch.Generator]) -> Tensor:
    height, width = images.shape[2:]
    side = max(1, round(_CUT * min(height, width)))
    cut = images.clone()
    for image, draw in zip(cut, draws, strict=True):
        top, left = (int(torch.randint(size // 4, size - size // 4 - side + 1, (), generator=draw)) for size in (height, width))
        image[:, top : top + side, left : left + side] = image.flatten(1).median(1).values[:, None, None]
    return cut


CORRUPTIONS: Mapping[str, tuple[str, Callable[[Tensor, list[torch.Generator]], Tensor]]] = {
    "noise": (f"normal test images with Gaussian noise of standard deviation {_SIGMA}", _noisy),
    "blur": ("normal test images blurred by a Gaussian of 1/14 of the side", _blurred),
    "rotation": (f"normal test images rotated by {_ANGLES[0]:g} to {_ANGLES[1]:g} degrees to either side", _rotated),
    "cutout": ("normal test images with a square of a third of the side near the centre in their median colour", _cut_out),
    "inverted": ("normal test images with dark and bright swapped", lambda images, draws: 1 - images),
}
"""The corruptions of normal test images by name: description and function. What is drawn for image k is a function of k."""


def _corrupted(opened: OpenedRun, kind: str, count: int) -> Anomalies:
    images = images_of(opened.dataset.test, count)
    draws = [torch.Generator().manual_seed(derive(_SEED, "anomalies", kind, number)) for number in range(len(images))]
    description, corrupt = CORRUPTIONS[kind]
    corrupted = levels(corrupt(images, draws))
    return Anomalies(kind, corrupted, description, (corrupted != images).any(1) if kind == "cutout" else None)


# --- images of other sources


def _data_sets() -> list[str]:
    """Return the names of the data sets that need no path."""
    return [name for name in sources() if name not in WITH_PATH]


def _other_classes(opened: OpenedRun, count: int, progress: Progress) -> Tensor:
    config = opened.run.config.data
    if isinstance(config, DomainsConfig) or not config.only_classes:
        raise UsageError(
            f"{opened.run.path} was trained on all classes, so that there is no other class: train with --only-classes, such as "
            "--only-classes 0,1,2,3,4,5,6, or choose other --anomalies"
        )
    whole = load(replace(config, only_classes="", limit=0), progress)
    trained = set(only_classes.class_numbers(whole, config.chosen_classes))
    others = [number for number in range(len(whole.spec.classes)) if number not in trained]
    images = only_classes.images_of(whole.test, others)
    if not len(images):
        raise UsageError(f"{whole.name} has no test image of another class than {config.only_classes}: choose other --anomalies")
    return images_of(images, count)


def _data_set(opened: OpenedRun, name: str, count: int, progress: Progress) -> Tensor:
    test = load(DataConfig(data=name), progress).test
    return _fitted([test.images[row] for row in range(min(count, len(test)) if count else len(test))], opened.spec)


def _fitted(images: Sequence[Pixels], spec: DataSpec) -> Tensor:
    """Return images uint8 [h w c] scaled and cropped to the shape of a run: float [n c h w]."""
    try:
        pixels = [fit(image, (spec.height, spec.width), spec.channels, spec.fit) for image in images]
    except Refused as refusal:
        raise DataError(f"the images cannot be scored by a model of {spec.channels} channels: {refusal}") from None
    return to_floats(torch.from_numpy(np.stack(pixels)))


def _fitted_masks(masks: Sequence[NDArray[np.bool_]], spec: DataSpec) -> Tensor:
    """Return masks bool [h w] scaled as images are, and True where at least half of a pixel is: bool [n h w]."""
    grey = [mask[..., None].astype(np.uint8) * np.uint8(255) for mask in masks]
    return _fitted(grey, replace(spec, channels=1))[:, 0] >= 0.5


def _defects(opened: OpenedRun, count: int) -> Anomalies:
    from simulacra.data.synthetic.textures import TEXTURES, defective_images

    config = opened.run.config.data
    made = defective_images(_DEFECT_COUNT, "defects")
    chosen = config.chosen_classes if isinstance(config, DataConfig) else ()
    wanted = [number for number, name in enumerate(TEXTURES) if name in (chosen or TEXTURES)]
    rows = np.flatnonzero(np.isin(made.textures, wanted))[: count or None]
    if not len(rows):
        raise UsageError(f"{DEFECTS} has no defects of class {config.title}: it is for models of --data textures")
    images, masks = _fitted(list(made.images[rows]), opened.spec), _fitted_masks(list(made.masks[rows]), opened.spec)
    return Anomalies(DEFECTS, images, "generated textures with one defect each", masks)


def _folder(path: Path, spec: DataSpec, count: int, masks: Path | None) -> Anomalies:
    found = named_images(path, spec, count)
    known = None if masks is None else _masks_of(found.names, masks, spec)
    return Anomalies(path.name, found.images, f"images of {path}", known)


def _masks_of(names: Sequence[str], folder: Path, spec: DataSpec) -> Tensor:
    """Return the masks bool [n h w] of images by name, whatever the suffix; raises DataError where one is missing."""
    found = named_images(folder, replace(spec, channels=1, levels=None), 0)
    by_name = {str(Path(name).with_suffix("")): mask for name, mask in zip(found.names, found.images, strict=True)}
    if missing := [name for name in names if str(Path(name).with_suffix("")) not in by_name]:
        held = f"{len(missing)} of {len(names)} images have no mask in {folder}, such as {missing[0]}"
        raise DataError(f"{held}: give a mask of the same name for each image, bright where it is anomalous")
    return torch.stack([by_name[str(Path(name).with_suffix(""))][0] >= 0.5 for name in names])

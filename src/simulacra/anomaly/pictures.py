"""Drawings of anomaly detection: heat maps on images, galleries of images sorted by score, and mistakes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from simulacra.anomaly.anomalies import Anomalies
from simulacra.anomaly.evaluation import DetectionEvaluation
from simulacra.anomaly.training_images import images_of
from simulacra.images.files import make_folder, save_image, save_png
from simulacra.images.grid import image_grid
from simulacra.images.section import columns_for
from simulacra.runs.opened import OpenedRun

MISTAKES = "detection_mistakes"
"""First part of the name of the drawing of mistakes in the folder of a run's images."""

_RED = (1.0, 0.1, 0.0)
_MOST = 256  # images of a gallery, at most: the most and the least anomalous


def overlay(images: Tensor, maps: Tensor, full: float) -> Tensor:
    """Return images [n c h w] in [0, 1] as colour images [n 3 h w], the redder the larger their heat maps [n h w].

    full: the value from which a pixel is entirely red. Images with other than three channels are drawn in grey, darkened so
    that red remains visible on white.
    """
    colour = images if images.shape[1] == 3 else images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    strength = (maps / max(full, torch.finfo(maps.dtype).tiny)).clamp(0, 1)[:, None]
    red = torch.tensor(_RED).view(1, 3, 1, 1)
    return (1 - strength) * 0.8 * colour + strength * red


def save_heat_maps(images: Tensor, maps: Tensor, full: float, names: Sequence[str], folder: Path) -> None:
    """Write the overlay of each image as a PNG file of its name into a folder; slashes in names become sub-folders."""
    make_folder(folder)
    for image, name in zip(overlay(images, maps, full), names, strict=True):
        save_image(image, folder / (name if name.lower().endswith(".png") else f"{name}.png"))


def gallery(images: Tensor, values: Tensor) -> Image.Image:
    """Return a grid of images sorted by their scores, the most anomalous first; of many images both ends."""
    order = values.argsort(descending=True, stable=True)
    if len(order) > _MOST:
        order = torch.cat([order[: _MOST // 2], order[-_MOST // 2 :]])
    return image_grid(images[order], min(len(order), columns_for(images.shape[1:], 16)))


def save_mistakes(opened: OpenedRun, evaluation: DetectionEvaluation, kinds: Sequence[Anomalies], count: int, path: Path) -> None:
    """Draw false alarms, then a row of missed anomalies for each kind; a run without mistakes has an empty drawing."""
    columns = columns_for(opened.spec.shape, 16)
    results = evaluation.results[evaluation.detector.score.name]
    normal = images_of(opened.dataset.test, count)
    rows = [normal[list(next(iter(results.values())).false_alarms[:columns])]]
    rows += [item.images[list(results[item.kind].missed[:columns])] for item in kinds]
    padded = [torch.cat([row, row.new_ones(columns - len(row), *opened.spec.shape)]) for row in rows]
    save_png(image_grid(torch.cat(padded), columns), path)

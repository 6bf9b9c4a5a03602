"""Images that an application examines one by one, with their names: a split of the data of a run, or images of one's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from simulacra.core.batch import DataSpec
from simulacra.core.config import Config, option
from simulacra.core.errors import DataError
from simulacra.data.dataset import Split
from simulacra.data.load import named_images
from simulacra.data.source import Skip
from simulacra.runs.opened import OpenedRun, label_names


@dataclass(frozen=True)
class NamedSplitConfig(Config):
    """Settings of applications that choose such images."""

    split: Literal["test", "validation", "train"] = option("test", "images of the data")
    input: str = option("", "images of your own instead: a file, folder or archive")
    count: int = option(0, "number of images, the first; 0: all", low=0)


@dataclass(frozen=True)
class NamedSplit:
    """Images with names: of files, or their numbers in the split.

    skipped: files of --input that are no images or cannot be read; unused: number of files that were not read.
    """

    split: Split
    names: tuple[str, ...]
    skipped: tuple[Skip, ...] = ()
    unused: int = 0

    def label_names(self, spec: DataSpec) -> list[str]:
        """Return the label of each image as text; empty where the images have no labels."""
        return [] if self.split.labels is None else label_names(torch.from_numpy(np.asarray(self.split.labels)), spec)


def named_split(opened: OpenedRun, settings: NamedSplitConfig) -> NamedSplit:
    """Return the first `count` images (0: all) of a split of the data, or of an image file, folder, archive or array file.

    Raises DataError where there are none.
    """
    name, count, path = settings.split, settings.count, settings.input
    if path:
        found = named_images(Path(path), opened.spec, count)
        pixels = (255 * found.images).round().byte().permute(0, 2, 3, 1).numpy()
        return NamedSplit(Split(name, pixels), found.names, found.skipped, found.unused)
    parts = {split.name: split for split in opened.dataset.splits}
    split = parts[name][: count or None]
    if not len(split):
        raise DataError(f"{opened.dataset.name} has no {name} images: choose another --split, or give images with --input")
    return NamedSplit(split, split.files or tuple(map(str, range(len(split)))))

"""Training images and their encodings, to which scores compare other images."""

import torch
from torch import Tensor

from simulacra.core.capabilities import LatentSpace, require
from simulacra.core.progress import Progress
from simulacra.data.dataset import Split
from simulacra.runs.latent_space import encode
from simulacra.runs.opened import OpenedRun

REFERENCES = 10_000  # training images, at most: the first of the shuffled split, hence a random sample
_CHUNK = 500


def images_of(split: Split, count: int = 0) -> Tensor:
    """Return the first `count` images of a split, float32 [n c h w] in [0, 1]; 0 for all."""
    return split.head(count or len(split)).images.contiguous()


def first_images(opened: OpenedRun, count: int = REFERENCES) -> Tensor:
    """Return the first training images, at most `count`."""
    return images_of(opened.dataset.train, count)


def encodings(opened: OpenedRun, images: Tensor) -> Tensor:
    """Return the latents float32 [n d] of images."""
    require(opened.model, LatentSpace, "encoding")
    return encode(opened, images).float()


def training_encodings(opened: OpenedRun, progress: Progress) -> Tensor:
    """Return the latents of the first training images."""
    images, latents = first_images(opened), []
    with progress.task("encoding training images", len(images), "images") as meter:
        for chunk in images.split(_CHUNK):
            latents.append(encodings(opened, chunk))
            meter.advance(len(chunk))
    return torch.cat(latents)

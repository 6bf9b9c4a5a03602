"""Representations of images: features of a trained model, raw pixels, principal components, or the images themselves."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, HasFeatures, LatentSpace, require, supports
from simulacra.core.condition import Condition
from simulacra.data.dataset import Dataset, Split
from simulacra.runs.opened import OpenedRun

LEVEL = 0.1
"""Time in [0, 1] of the noise at which features of a denoiser are computed: little noise (Xiang et al. 2023, section 4)."""

_CHUNK = 2048  # images that are read at once
_COMPONENT_IMAGES = 10_000  # to which principal components are fitted
_COMPONENTS = 32


class Representation:
    """A function from images to features, with the features of the held-out images of a data set, which are computed once.

    name: in words, with the number of features; extract: from images float [b c h w] in [0, 1] to features on the CPU, each of
    which depends on its image alone.
    """

    def __init__(self, name: str, extract: Callable[[Tensor], Tensor], dataset: Dataset) -> None:
        self.name, self.dataset = name, dataset
        self._extract = extract

    def of(self, images: Tensor) -> Tensor:
        """Return the features of images [n c h w] in [0, 1]."""
        return self._extract(images)

    def training(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the features of some training images."""
        return self._of_rows(self.dataset.train, rows)

    @cached_property
    def validation(self) -> Tensor:
        """Features of all validation images."""
        return self._whole(self.dataset.validation)

    @cached_property
    def test(self) -> Tensor:
        """Features of all test images."""
        return self._whole(self.dataset.test)

    def _whole(self, split: Split) -> Tensor:
        return self._of_rows(split, np.arange(len(split)))

    def _of_rows(self, split: Split, rows: NDArray[np.int64]) -> Tensor:
        parts = [rows[start : start + _CHUNK] for start in range(0, max(len(rows), 1), _CHUNK)]
        return torch.cat([self._extract(split.batch(part).images) for part in parts])


def images(opened: OpenedRun) -> Representation:
    """Return the representation of images by themselves, for networks."""
    return Representation("images", lambda given: given, opened.dataset)


def pixels(opened: OpenedRun) -> Representation:
    """Return the representation of images by all their pixel values."""
    return Representation(f"{opened.spec.dimensions} pixel values", lambda given: given.flatten(1), opened.dataset)


def principal_components(opened: OpenedRun) -> Representation:
    """Return the projections to principal components of training images, which need no labels (Hotelling 1933).

    As many as the model has latents, 32 for a model without latents. Fitted to the first 10,000 training images.
    """
    from sklearn.decomposition import PCA

    fitted_to = opened.dataset.train.head(_COMPONENT_IMAGES).images.flatten(1)
    wanted = latent_space(opened.model).latent_dim if amortized(opened.model) else _COMPONENTS
    count = min(wanted, *fitted_to.shape)
    components = PCA(count, random_state=0).fit(fitted_to.numpy())
    mean, axes = (torch.from_numpy(values).float() for values in (components.mean_, components.components_))
    return Representation(f"{count} principal components", lambda given: (given.flatten(1) - mean) @ axes.T, opened.dataset)


def model_features(opened: OpenedRun) -> Representation:
    """Return the features of the model: latents where it has an encoder, otherwise features of its denoiser.

    Raises NotApplicable for a model without either.
    """
    with torch.inference_mode():
        width = features_of(opened.model, torch.zeros(2, *opened.spec.shape, device=opened.device)).shape[1]
    kind = "latents" if amortized(opened.model) else f"denoiser features at time {LEVEL:g}"
    return Representation(
        f"{width} {kind}",
        lambda given: opened.apply(lambda part, condition: features_of(opened.model, part), given),
        opened.dataset,
    )


def amortized(model: object) -> bool:
    """Return whether features are latents of an encoder."""
    return supports(model, AMORTIZED_LATENT_SPACE)


def latent_space(model: object) -> LatentSpace:
    """Return the model as a latent space with an encoder; raises NotApplicable."""
    return require(model, AMORTIZED_LATENT_SPACE, "classification")


def features_of(model: object, given: Tensor) -> Tensor:
    """Return the features float32 [b d] of images [b c h w], differentiably: latents of an encoder, or denoiser features.

    Models that accept labels receive none, so that features do not depend on the class of their image; what a model derives from
    the images themselves is given.
    """
    if not amortized(model):
        return require(model, HasFeatures, "classification").features(given, LEVEL).float()
    encoder = latent_space(model)
    return encoder.encode(given, encoder.complete_condition(Condition(), given)).float()

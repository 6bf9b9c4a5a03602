"""Baseline: squared error of the projection to the principal components of training images (Jackson & Mudholkar 1979).

It uses no model: a linear autoencoder with the optimal weights, which any other autoencoder has to beat.
"""

import torch
from torch import Tensor

from simulacra.anomaly.score import Score, Scored, Scorer, of_squared_errors
from simulacra.anomaly.training_images import REFERENCES, first_images
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun

_COMPONENTS = 32


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    from sklearn.decomposition import PCA  # takes a second to import

    pixels = first_images(opened).flatten(1).numpy()
    fitted = PCA(min(_COMPONENTS, *pixels.shape), random_state=0).fit(pixels)
    components, mean = torch.from_numpy(fitted.components_).float(), torch.from_numpy(fitted.mean_).float()

    def scored(images: Tensor) -> Scored:
        centred = images.flatten(1) - mean
        residual = centred - centred @ components.T @ components
        return of_squared_errors(residual.view_as(images) ** 2)

    return scored


SCORE = Score(
    "pca",
    f"baseline: squared error of the projection to {_COMPONENTS} principal components of training images",
    _fit,
    settings={"components": _COMPONENTS, "references": REFERENCES},
    maps=True,
)

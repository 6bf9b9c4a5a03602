"""Neighbours: local outlier ratio of an image among training images, by latent and residual of the reconstruction together.

Latents alone miss what the encoder ignores, such as noise; residuals alone miss images that the decoder generalizes to. An
image is represented by its latent, scaled so that the latents of training images deviate from their mean by 3 times as much as
their residuals from 0 (root mean squares of Euclidean norms), followed by its residual, image minus reconstruction. The factor,
the number of neighbours and the ratio were chosen on validation images of MNIST with synthetic anomalies, before any
evaluation.
"""

import torch
from torch import Tensor

from simulacra.anomaly.neighbours import NEIGHBOURS, LocalOutliers
from simulacra.anomaly.score import Score, Scored, Scorer
from simulacra.anomaly.training_images import REFERENCES, encodings, first_images
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, Reconstructs, require
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun

_WEIGHT = 3.0  # of latents against residuals


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    model = require(opened.model, Reconstructs, "the score neighbours")
    progress.message("encoding training images and computing the distances between them")

    def parts(images: Tensor) -> tuple[Tensor, Tensor]:
        return encodings(opened, images), images - opened.apply(model.reconstruct, images).float()

    latents, residuals = parts(first_images(opened))
    spread = (latents - latents.mean(0)).square().sum(1).mean().sqrt()
    scale = _WEIGHT * residuals.square().flatten(1).sum(1).mean().sqrt() / spread.clamp_min(torch.finfo(torch.float32).tiny)

    def points(latents: Tensor, residuals: Tensor) -> Tensor:
        return torch.cat([scale * latents, residuals.flatten(1)], 1)

    outliers = LocalOutliers(points(latents, residuals), NEIGHBOURS)

    def scored(images: Tensor) -> Scored:
        latents, residuals = parts(images)
        return Scored(outliers.ratios(points(latents, residuals)), residuals.square().sum(1))

    return scored


SCORE = Score(
    "neighbours",
    f"local outlier ratio of latent and residual among the {NEIGHBOURS} nearest training images; heat maps: squared residuals",
    _fit,
    (AMORTIZED_LATENT_SPACE, Reconstructs),
    {"neighbours": NEIGHBOURS, "references": REFERENCES, "latent_weight": _WEIGHT},
    maps=True,
)

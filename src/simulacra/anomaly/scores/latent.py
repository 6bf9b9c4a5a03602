"""Latent distance: Mahalanobis distance of the posterior mean to the latents of training images (Lee et al. 2018, section 2).

Preferred to the KL divergence from the prior, which is a distance to the prior that ignores where the latents of the training
images are: aggregate posteriors of trained models are neither centred nor isotropic.
"""

import torch
from torch import Tensor

from simulacra.anomaly.score import Score, Scored, Scorer
from simulacra.anomaly.training_images import encodings, training_encodings
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, HasPosterior
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun

_RIDGE = 1e-6  # added to the eigenvalues of the covariance, relative to their mean: latents without variance


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    latents = training_encodings(opened, progress).double()
    mean = latents.mean(0)
    covariance = (latents - mean).T @ (latents - mean) / len(latents)
    ridge = _RIDGE * covariance.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    precision = torch.linalg.inv(covariance + ridge * torch.eye(len(mean), dtype=torch.float64))

    def scored(images: Tensor) -> Scored:
        centred = encodings(opened, images).double() - mean
        return Scored(((centred @ precision) * centred).sum(1).sqrt())

    return scored


SCORE = Score(
    "latent",
    "Mahalanobis distance of the posterior mean to those of training images",
    _fit,
    (HasPosterior, AMORTIZED_LATENT_SPACE),
)

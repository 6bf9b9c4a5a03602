"""Denoising error: a denoiser of normal images moves other images towards these (Graham et al. 2023; Liu et al. 2023).

The noise is the same for all images: a few fixed draws.
"""

from functools import partial

import torch
from torch import Tensor

from simulacra.anomaly.score import Score, Scored, Scorer, of_squared_errors
from simulacra.core.capabilities import Denoises, require
from simulacra.core.condition import Condition
from simulacra.core.progress import Progress
from simulacra.core.randomness import noise
from simulacra.runs.opened import OpenedRun

_TIMES, _DRAWS, _SEED = (0.2, 0.4, 0.6), 2, 0  # noise levels, by their time in [0, 1]; draws of noise for each


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    model = require(opened.model, Denoises, "the score denoising")
    drawn = noise(_SEED, 0, _DRAWS, model.noise_shape)

    def denoise_at(time: float, images: Tensor, moved: Tensor, condition: Condition) -> Tensor:
        return model.denoise(images, moved, time, condition)

    def scored(images: Tensor) -> Scored:
        squared = torch.zeros_like(images)
        for time in _TIMES:
            for one in drawn:
                moved = one.expand(len(images), *one.shape)
                denoised = opened.apply(partial(denoise_at, time), images, moved)
                squared += (denoised - images) ** 2 / (len(_TIMES) * _DRAWS)
        return of_squared_errors(squared)

    return scored


SCORE = Score(
    "denoising",
    f"squared error of the denoised image, mean over {len(_TIMES)} noise levels and {_DRAWS} draws of noise",
    _fit,
    (Denoises,),
    {"times": list(_TIMES), "draws": _DRAWS, "seed": _SEED},
    maps=True,
)

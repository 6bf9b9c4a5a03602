"""Log-likelihoods of single images: what is drawn is a function of a fixed seed alone, the same for all images."""

from typing import cast

import torch
from torch import Tensor

from simulacra.anomaly.score import Scored, Scorer
from simulacra.core.capabilities import HasLikelihood
from simulacra.core.condition import UNCONDITIONAL
from simulacra.core.eval_mode import inference_mode
from simulacra.core.progress import Progress
from simulacra.core.randomness import stream
from simulacra.runs.opened import OpenedRun

PARTICLES, SEED = 64, 0


def negative_log_likelihoods(opened: OpenedRun, progress: Progress) -> Scorer:
    """Return the scorer by minus the log-likelihood in nats, given the condition that the model derives from an image.

    Images are evaluated one by one: latents are drawn for a whole batch at once, so that in larger batches they would depend on
    the position of an image.
    """
    model = cast(HasLikelihood, opened.model)

    def of_one(image: Tensor) -> Tensor:
        condition = model.complete_condition(UNCONDITIONAL, image)
        with stream(SEED, "anomaly likelihood"):
            observed = model.observe(image, condition)
            return -model.log_likelihood(observed, PARTICLES, condition).nats

    def scored(images: Tensor) -> Scored:
        with inference_mode(opened.model):
            return Scored(torch.cat([of_one(image.to(opened.device)).double().cpu() for image in images.split(1)]))

    return scored

"""Scores of single images, whose means are numbers of `evaluate`."""

from torch import Tensor

from simulacra.core.capabilities import HasLikelihood, Reconstructs
from simulacra.core.eval_mode import inference_mode
from simulacra.core.finite import require_finite
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Split
from simulacra.metrics.reconstruction import reconstruction_scores
from simulacra.metrics.statistics.likelihoods import split_bound, split_nll
from simulacra.runs.opened import OpenedRun

PARTICLES = 50  # as in `evaluate`


def image_scores(
    opened: OpenedRun, split: Split, particles: int = PARTICLES, seed: int = 0, progress: Progress = SILENT
) -> dict[str, Tensor]:
    """Return scores [n] of the images of a split by name, as `evaluate` averages them: those that the model supports.

    With the whole test split and the same seed, the means are the numbers of `evaluate`. Raises NonFiniteError.
    """
    model, found = opened.model, dict[str, Tensor]()
    passes = isinstance(model, Reconstructs) + isinstance(model, HasLikelihood) * (1 + (particles > 0))
    with inference_mode(model), progress.task("scoring", passes * len(split), "images") as meter:
        if isinstance(model, Reconstructs):
            found |= reconstruction_scores(model, split, meter)
        if isinstance(model, HasLikelihood):
            bound = split_bound(model, split, seed, meter)
            found["negative_elbo_nats"] = bound.rate + bound.distortion
            if particles:
                found["nll_nats"] = split_nll(model, split, particles, seed, meter)[0]
    return {name: require_finite(values.double(), f"values of {name}") for name, values in found.items()}

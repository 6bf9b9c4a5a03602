"""The numbers of the quiz of the restorer."""

import torch
from tests.quizzes.answers import check

from simulacra.core.capabilities import Posterior
from simulacra.core.randomness import Streams
from simulacra.degradations import parse
from simulacra.games.variational import relative_to
from simulacra.objectives.divergence import kl_between_normals

MEAN, PRIOR_MEAN, LOG_VAR = torch.tensor([[2.0]]), torch.tensor([[1.5]]), torch.tensor([[0.25]]).log()


def hidden_pixels():
    images = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return (1 - parse("quadrants:1").apply(images, Streams(images).draw).known).sum().item()


def relative_mean():
    return relative_to(Posterior(PRIOR_MEAN, LOG_VAR), Posterior(MEAN, LOG_VAR)).mean.item()


ANSWERS = {
    "hidden-pixels": hidden_pixels,
    "rate-of-a-learned-prior": lambda: kl_between_normals(MEAN, LOG_VAR, PRIOR_MEAN, LOG_VAR).item(),
    "relative-noise": relative_mean,
    "above-the-floor": lambda: 100 * (71.8 - 64.1) / (71.8 - 34.2),
}


def test_every_number_is_the_computed_one():
    check("restorer", ANSWERS)

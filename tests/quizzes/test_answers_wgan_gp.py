"""The answers of the questions on WGAN-GP, computed."""

import torch
from tests.quizzes.answers import check
from torch.nn import functional as F

import simulacra
from simulacra.objectives.adversarial import wasserstein_critic_loss
from simulacra.objectives.gradient_penalty import gradient_penalty

IMAGES = torch.rand(16, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def penalty(norm: float) -> float:
    """Return the penalty of a linear critic whose weights have this norm."""
    weights = norm * F.normalize(torch.ones(4), dim=0)
    return gradient_penalty(lambda points: points.flatten(1) @ weights, IMAGES, 1 - IMAGES).item()


def distance_of_two_images() -> float:
    """Return the distance estimate of the linear critic along the difference of the images, whose gradient has norm 1."""
    real, fake = torch.full((8, 1, 2, 2), 0.75), torch.full((8, 1, 2, 2), 0.25)
    direction = F.normalize((real - fake)[0].flatten(), dim=0)
    return -wasserstein_critic_loss(real.flatten(1) @ direction, fake.flatten(1) @ direction).item()


def batches_of_a_step() -> int:
    family = simulacra.untrained("wgan_gp", dataset=simulacra.load_data("digits", quiet=True), preset="dense")
    return sum(turn.repeats for turn in family.turns())


ANSWERS = {
    "penalty-of-a-linear-critic": lambda: penalty(3),
    "critic-loss": lambda: wasserstein_critic_loss(torch.tensor(2.5), torch.tensor(0.5)).item() + 10 * penalty(1.2),
    "distance-of-two-images": distance_of_two_images,
    "batches-of-a-step": batches_of_a_step,
}


def test_the_answers_are_right():
    check("wgan_gp", ANSWERS)

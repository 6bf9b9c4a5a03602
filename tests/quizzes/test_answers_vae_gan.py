"""The answers of the questions on the VAE/GAN, computed."""

import math

import torch
from tests.quizzes.answers import check

from simulacra.families.vae_gan import feature_reconstruction
from simulacra.objectives.adversarial import minimax_discriminator_loss, non_saturating_generator_loss


def feature_loss() -> float:
    """Return the loss for two images of 100 features of variance 0.5, each of which the reconstruction misses by 0.2."""
    real = math.sqrt(0.5) * torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1).expand(2, 1, 10, 10)
    return feature_reconstruction(real, real + 0.2).mean().item()


GUESSED = torch.zeros(8)  # logits of reconstructions and of samples, in one batch

ANSWERS = {
    "feature-loss-value": feature_loss,
    "discriminator-loss-of-guessing": lambda: minimax_discriminator_loss(torch.zeros(4), GUESSED).item(),
    "decoder-loss-value": lambda: 0.05 * 20 + non_saturating_generator_loss(GUESSED).item(),
}


def test_the_answers_are_right():
    check("vae_gan", ANSWERS)

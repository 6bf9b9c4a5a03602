"""The numbers of the quiz of the VAE."""

import torch
from tests.quizzes.answers import check

from simulacra.objectives.divergence import importance_weighted_bound, kl_to_standard_normal
from simulacra.objectives.likelihood import bits_per_dimension


def divergence(mean, log_var):
    return kl_to_standard_normal(torch.tensor(mean), torch.tensor(log_var)).item()


ANSWERS = {
    "kl-of-a-shifted-posterior": lambda: divergence(3.0, 0.0),
    "kl-of-a-narrow-posterior": lambda: divergence(0.0, -2.0),
    "beta-of-two-means": lambda: torch.zeros(3, 32, 32).numel() / 128,
    "importance-weighted-bound": lambda: importance_weighted_bound(torch.tensor([[-100.0], [-102.0]])).item(),
    "bits-per-dimension": lambda: float(bits_per_dimension(163.8, 64)),
}


def test_every_number_is_the_computed_one():
    check("vae", ANSWERS)

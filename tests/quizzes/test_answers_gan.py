"""The answers of the questions on GANs, computed."""

import math
from typing import Any

import torch
from tests.quizzes.answers import check

import simulacra
from simulacra.objectives.adversarial import minimax_discriminator_loss, non_saturating_generator_loss

LOGITS = torch.linspace(-4, 4, 8001)  # at which losses are compared


def optimal_logit(real: float, fake: float, smoothing: float = 0.0) -> float:
    """Return the logit with the lowest loss for an image where real and generated images have these densities."""
    losses = [
        real * minimax_discriminator_loss(logit, torch.tensor(-100.0), smoothing)
        + fake * minimax_discriminator_loss(torch.tensor(100.0), logit)
        for logit in LOGITS
    ]
    return LOGITS[torch.stack(losses).argmin()].item()


def derivative_of_the_generator_loss(probability: float) -> float:
    logit = torch.tensor(math.log(probability / (1 - probability)), requires_grad=True)
    non_saturating_generator_loss(logit).backward()
    assert logit.grad is not None
    return abs(logit.grad.item())


def discriminator_parameters() -> int:
    data = simulacra.load_data("digits", quiet=True)
    network: Any = simulacra.untrained("gan", dataset=data, hidden=[128]).discriminator
    return sum(parameter.numel() for parameter in network.parameters())


ANSWERS = {
    "loss-of-random-guessing": lambda: minimax_discriminator_loss(torch.zeros(8), torch.zeros(8)).item(),
    "optimal-logit": lambda: optimal_logit(0.3, 0.1),
    "non-saturating-derivative": lambda: derivative_of_the_generator_loss(0.02),
    "smoothed-optimum": lambda: torch.sigmoid(torch.tensor(optimal_logit(1, 1, smoothing=0.1))).item(),
    "parameters": discriminator_parameters,
}


def test_the_answers_are_right():
    check("gan", ANSWERS)

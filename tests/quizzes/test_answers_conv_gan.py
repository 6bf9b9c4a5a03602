"""The answers of the questions on the convolutional GAN, computed."""

import torch
from tests.quizzes.answers import check

from simulacra.core.randomness import reseed
from simulacra.networks.kernels.dropout import Dropout
from simulacra.networks.same_padding import SameConv2d, same_padding


def scale_of_kept_features() -> float:
    reseed(0, "dropout")
    return Dropout(0.5)(torch.full((64,), 3.0)).max().item()


ANSWERS = {
    "padding": lambda: sum(same_padding(28, 3, 2)),
    "discriminator-parameters": lambda: sum(parameter.numel() for parameter in SameConv2d(64, 64, 3, 2).parameters()),
    "dropout-rate": lambda: Dropout(0.4).p,
    "scale-of-kept-features": scale_of_kept_features,
}


def test_the_answers_are_right():
    check("conv_gan", ANSWERS)

"""The numbers of the quiz of the conditional VAE."""

import math

import torch
from tests.quizzes.answers import check

from simulacra.objectives.semi_supervised import unlabelled_bound


def bound():
    classifier = torch.tensor([[0.9, 0.1]])
    return unlabelled_bound(classifier.log(), torch.tensor([[80.0, 90.0]])).item()


def probability():
    return torch.tensor([-90.0, -92.0]).softmax(0)[0].item()


ANSWERS = {
    "largest-difference": lambda: math.log(10),
    "bayes-probability": probability,
    "one-hot-factor": lambda: (1 / torch.eye(16)[3].pow(2).mean()).sqrt().item(),
    "unlabelled-bound": bound,
}


def test_every_number_is_the_computed_one():
    check("cvae", ANSWERS)

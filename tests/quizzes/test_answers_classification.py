"""The numbers of the questions on classification, computed."""

import torch
from tests.quizzes.answers import check

from simulacra.classification.calibration import calibration_error

ANSWERS = {
    "ece-of-one-bin": lambda: (
        100 * calibration_error(torch.tensor([[0.9, 0.1]]).repeat(100, 1), (torch.arange(100) >= 74).long())
    ),
    "temperature-of-two-logits": lambda: float((torch.tensor([2.0, 0.0]) / 2).softmax(0)[0]),
    "labels-that-were-used": lambda: 100 + 10_000,
}


def test_the_answers_are_computed():
    check("classification", ANSWERS)

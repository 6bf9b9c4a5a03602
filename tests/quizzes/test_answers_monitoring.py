"""The numbers of the questions on the monitors, computed."""

import torch
from tests.quizzes.answers import check

ANSWERS = {
    "diversity-of-ten-images": lambda: float((1 - torch.eye(10)).mean()),
    "gradient-of-a-certain-discriminator": lambda: (1 / 0.01) / (1 / (1 - 0.01)),
}


def test_the_answers_are_computed():
    check("monitoring", ANSWERS)

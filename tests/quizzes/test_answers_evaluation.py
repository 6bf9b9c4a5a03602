"""The numbers of the questions on evaluation, computed."""

import math

import torch
from tests.quizzes.answers import check

from simulacra.metrics.statistics.measurement import mean_of

ANSWERS = {
    "standard-error-of-a-mean": lambda: float(mean_of(0.01 * torch.tensor([1.0, -1.0]).repeat(5000), {}).standard_error or 0),
    "bits-of-a-density": lambda: (-28.6 + 64 * math.log(256)) / (64 * math.log(2)),
    "iwae-with-one-sample": lambda: 40 / (2 * 0.05),
}


def test_the_answers_are_computed():
    check("evaluation", ANSWERS)

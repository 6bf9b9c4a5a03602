"""The numbers of the questions on restorations, computed."""

import torch
from tests.quizzes.answers import check

from simulacra.metrics.restorations.conformal import conformal_factor, normal_factor

ANSWERS = {
    "rank-of-the-factor": lambda: conformal_factor(torch.arange(1.0, 2000.0), 0.9),
    "evaluations-of-a-calibration": lambda: 64 * 16 * 20,
    "gaussian-factor": lambda: normal_factor(0.9),
}


def test_the_answers_are_computed():
    check("restoration", ANSWERS)

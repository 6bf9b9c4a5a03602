"""The numbers of the questions on metrics, computed."""

import numpy as np
import torch
from tests.quizzes.answers import check

from simulacra.metrics.statistics.class_shares import class_kl
from simulacra.metrics.statistics.frechet import expected_at_equality, frechet
from simulacra.metrics.statistics.moments import moments
from simulacra.metrics.statistics.neighbourhoods import expected_coverage


def _normal(mean, deviation):
    """Return two points with a mean and a standard deviation."""
    return mean + deviation * torch.tensor([[1.0], [-1.0]], dtype=torch.float64) / 2**0.5


ANSWERS = {
    "frechet-of-shifted-normals": lambda: frechet(moments(_normal(3, 2)), moments(_normal(0, 1))),
    "bias-of-a-perfect-model": lambda: expected_at_equality(torch.eye(128, dtype=torch.float64), 2000, 2000),
    "coverage-of-a-perfect-model": lambda: expected_coverage(10**6, 10**6, 5),
    "kl-of-missing-classes": lambda: class_kl(np.arange(1000) % 5, np.arange(1000) % 10, 10).value,
}


def test_the_answers_are_computed():
    check("metrics", ANSWERS)

"""The numbers of the questions on data, computed."""

import math

from tests.quizzes.answers import check

from simulacra.data.settings import DataConfig
from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES, cells

ANSWERS = {
    "validation-images-of-digits": lambda: 1500 * DataConfig().validation,
    "entropy-in-bits": lambda: KNOWN_DENSITIES["ring"].entropy_nats / (2 * math.log(2)),
    "cells-of-the-square": lambda: len(cells()),
}


def test_the_answers_are_computed():
    check("data", ANSWERS)

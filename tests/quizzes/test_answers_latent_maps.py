"""The numbers of the questions on latent maps, computed."""

import math

from tests.quizzes.answers import check

from simulacra.maps.walk import normal_quantiles

ANSWERS = {
    "variance-of-a-plane": lambda: 100 * 2 / 16,
    "quantile-of-a-walk": lambda: float(normal_quantiles(16)[0]),
    "perplexity-of-equal-neighbours": lambda: math.exp(-30 * (1 / 30) * math.log(1 / 30)),
}


def test_the_answers_are_computed():
    check("latent-maps", ANSWERS)

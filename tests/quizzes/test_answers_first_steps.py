"""The numbers of the questions on the first steps, computed."""

from tests.quizzes.answers import check

from simulacra.engine.learning_rate import factor

ANSWERS = {
    "steps-of-an-epoch": lambda: 20 * (1375 // 64),
    "warmup-steps": lambda: next(step for step in range(1, 5000) if factor(step / 5000, 0.02, "constant") == 1),
    "learning-rate-in-the-middle": lambda: 0.002 * factor(0.5, 0.0, "cosine"),
}


def test_the_answers_are_computed():
    check("first-steps", ANSWERS)

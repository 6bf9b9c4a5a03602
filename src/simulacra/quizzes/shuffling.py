"""The order in which choices and steps are shown: random, and the same for the same seed."""

from random import Random

from simulacra.quizzes.question import ChoiceQuestion, OrderQuestion


def shown_order(question: ChoiceQuestion | OrderQuestion, seed: int) -> list[int]:
    """Return the indices of choices or steps in the order in which they are shown; steps never in the right order."""
    random = Random(f"{question.id} {seed}")
    right = list(range(len(question.choices if isinstance(question, ChoiceQuestion) else question.steps)))
    order = random.sample(right, len(right))
    while isinstance(question, OrderQuestion) and order == right:
        order = random.sample(right, len(right))
    return order

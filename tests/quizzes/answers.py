"""The answers of a page's questions, computed: for tests/quizzes/test_answers_PAGE.py."""

from collections.abc import Callable, Mapping

import pytest

from simulacra import quizzes
from simulacra.quizzes.question import NumberQuestion


def check(page: str, answers: Mapping[str, Callable[[], float]]) -> None:
    """Assert that `answers` computes the answer of every number question of a page, by its id, within half its tolerance.

    Half: so that a reader who computes the same and rounds is graded as right.
    """
    questions = {item.id: item for item in quizzes.find(page).questions if isinstance(item, NumberQuestion)}
    assert set(answers) == set(questions), "the keys of ANSWERS are not the ids of the number questions of the page"
    for name, compute in answers.items():
        question = questions[name]
        assert compute() == pytest.approx(question.answer, rel=1e-9, abs=max(question.tolerance / 2, 1e-9)), name

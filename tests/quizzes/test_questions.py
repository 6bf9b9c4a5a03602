"""The files of questions: valid, of several kinds, about sections that exist."""

from collections import Counter
from pathlib import Path

import pytest
from tests.architecture.test_documentation import anchors

from simulacra import families, quizzes
from simulacra.quizzes.markdown import html_of, plain_of
from simulacra.quizzes.question import PICTURES, ChoiceQuestion

DOCS = Path(__file__).parents[2] / "docs"
NAMES = quizzes.names()
FAMILIES = [name for name in families.names() if name in NAMES]
LARGEST = 30_000  # bytes of a picture


@pytest.mark.parametrize("name", NAMES)
def test_every_question_is_about_a_section_of_its_page(name):
    quiz = quizzes.find(name)
    page = DOCS / f"{quiz.page}.md"
    assert page.is_file()
    assert {question.section for question in quiz.questions} <= anchors(page)


@pytest.mark.parametrize("name", NAMES)
def test_every_text_can_be_written_for_browsers_and_terminals(name):
    for question in quizzes.find(name).questions:
        for text in question.texts():
            assert html_of(text)
            assert "\\" not in plain_of(text).replace("\\n", "") or "`" in text, text


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_at_least_five_questions(name):
    assert len(quizzes.find(name).questions) >= 5


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_eight_questions_of_three_kinds_two_of_them_numbers(name):
    kinds = Counter(question.kind for question in quizzes.find(name).questions)
    assert kinds.total() >= 8
    assert len(kinds) >= 3
    assert kinds["number"] >= 2


def test_every_family_has_a_quiz():
    assert set(families.names()) <= set(NAMES)


def test_every_picture_is_used_and_small():
    questions = [question for name in NAMES for question in quizzes.find(name).questions]
    used = {item.picture.file for item in questions if isinstance(item, ChoiceQuestion) and item.picture}
    assert used == {path.name for path in PICTURES.glob("*")}
    assert all((PICTURES / file).stat().st_size <= LARGEST for file in used)

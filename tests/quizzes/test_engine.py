"""Reading files of questions, grading answers, and the writing of texts."""

import pytest
from tests.quizzes.pages import PAGE

from simulacra import quizzes
from simulacra.core.errors import DataError, UsageError
from simulacra.quizzes.markdown import html_of, plain_of
from simulacra.quizzes.reading import read_quiz
from simulacra.quizzes.shuffling import shown_order


@pytest.fixture
def read(tmp_path):
    """Return a function that reads the file of PAGE with a part replaced."""

    def changed(old="", new=""):
        assert old in PAGE
        (tmp_path / "test.toml").write_text(PAGE.replace(old, new) if old else PAGE)
        return read_quiz(tmp_path / "test.toml")

    return changed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "choice"', 'kind = "text"', "question 'one': kind is 'text', expected one of choice, picture, number, order"),
        ("correct = true", "correct = false", "question 'one': 0 choices are correct, expected exactly one"),
        ('text = "No"\ncorrect = false', 'text = "No"\ncorrect = true', "question 'one': 2 choices are correct"),
        ('explanation = "This is the second mistake."\n', "", "question 'one', choice 2: explanation is missing"),
        ('explanation = "This is the second mistake."', 'explanation = ""', "choice 2: explanation is '', expected a str"),
        ('text = "Perhaps"', 'text = "No"', "two choices have the same text"),
        ('id = "two"', 'id = "one"', "question 'one': the id is not unique"),
        ("difficulty = 2", "difficulty = 4", "question 'two': difficulty is 4, expected 1, 2 or 3"),
        ("answer = 4.5", 'answer = "4.5"', "question 'two': answer is '4.5', expected a number"),
        ("answer = 4.5", "answer = 4.5\nanswers = 3", "question 'two': unknown entry 'answers', expected id"),
        ("value = 9.0", "value = 4.55", "question 'two': the wrong value 4.55 is within the tolerance of the answer"),
        ('"Encode.", "Draw.", ', '"Decode.", ', "question 'three': steps are"),
        ("$x^2$", r"$\\foo$", r"question 'one': '\foo' has \foo, which the subset of TeX does not have"),
        ('page = "families/vae"', "page = families", "not valid TOML"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_with_its_question(read, old, new, message):
    with pytest.raises(DataError) as error:
        read(old, new)
    assert message in str(error.value)
    assert "test.toml" in str(error.value)


def test_an_unknown_page_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="unknown quiz 'vea': did you mean 'vae'"):
        quizzes.find("vea")


def test_choices_are_graded_with_the_explanations_of_the_given_and_the_right_one(read):
    question = read().questions[0]
    wrong, right = question.grade(1), question.grade(0)
    assert (right.correct, right.given, right.explanation) == (True, "", "Because of the first reason.")
    assert (wrong.correct, wrong.given, wrong.explanation) == (False, "This is the second mistake.", right.explanation)
    assert wrong.right == "Yes <b>bold</b>"


@pytest.mark.parametrize(
    ("written", "correct", "mistake"),
    [
        *((right, True, "") for right in ("4.5", "4.6", "4.4 nats", "9/2")),
        *((wrong, False, "The factor is missing.") for wrong in ("9", "9.1", "18/2")),
        *((wrong, False, "") for wrong in ("4.7", "9.2")),
    ],
)
def test_numbers_are_graded_with_their_tolerance_and_typical_mistakes(read, written, correct, mistake):
    question = read().questions[1]
    grade = question.grade(question.value(written))
    assert (grade.correct, grade.given, grade.right) == (correct, mistake, "4.5 nats")


@pytest.mark.parametrize("written", ["", "four", "4,5", "1/0", "nan", "inf", "1/2/3"])
def test_what_is_no_number_is_not_graded(read, written):
    with pytest.raises(ValueError, match=r"."):
        read().questions[1].value(written)


def test_an_order_is_graded_with_the_first_step_that_is_wrong(read):
    question = read().questions[2]
    assert question.grade([0, 1, 2]).correct
    assert question.grade([1, 0, 2]).given == "Step 1 is not right."
    assert question.grade([0, 2, 1]).given == "Step 1 is right, step 2 is not."


def test_the_order_of_answers_depends_on_the_seed_alone_and_steps_are_never_in_order(read):
    choice, _, order = read().questions
    shown = [shown_order(choice, seed) for seed in range(30)]
    assert shown == [shown_order(choice, seed) for seed in range(30)]
    assert {places[0] for places in shown} == {0, 1, 2}
    assert all(shown_order(order, seed) != [0, 1, 2] for seed in range(30))


def test_html_is_one_fragment_whose_texts_are_escaped_and_whose_ids_are_new_each_time(read):
    quiz = read()
    first, second = quiz._repr_html_(), quiz._repr_html_()
    assert first != second
    assert "Yes &lt;b&gt;bold&lt;/b&gt;" in first
    assert "<code>a &lt; b</code> <em>always</em> <math>" in first
    assert 'aria-label="Quiz: A page &amp; its &lt;title&gt;"' in first
    assert "http" not in first
    assert "src=" not in first


def test_a_quiz_describes_itself_in_one_line(read):
    assert repr(read()) == "<quiz 'test': 3 questions on 'A page & its <title>'; in a terminal: simulacra quiz test>"


def test_blocks_of_code_keep_their_lines():
    text = "What is it?\n\n```python\nloss = a < b\n    $x$\n```\n\nEnd."
    assert html_of(text) == "<p>What is it?</p><pre><code>loss = a &lt; b\n    $x$</code></pre><p>End.</p>"
    assert "loss = a < b\n    $x$" in plain_of(text)

"""The numbers of the questions on captions, computed."""

from tests.quizzes.answers import check

from simulacra.core.vocabulary import words_of

ANSWERS = {
    "words-of-a-caption": lambda: len(words_of("T-shirt, size 10")),
    "combinations-in-training": lambda: 10 * 7 - 12,
    "agreement-by-chance": lambda: 100 / 10 / 7,
}


def test_the_answers_are_computed():
    check("captions", ANSWERS)

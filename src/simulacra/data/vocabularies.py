"""The vocabulary of a data set: of its training captions, if it is small, and the words of all captions as numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulacra.core.vocabulary import Vocabulary

MOST_WORDS, MOST_IN_CAPTION = 1000, 64
"""A vocabulary with more words, or a longer caption, is not small: the images then have captions, but no tokens."""


def captioned_tokens(captions: Sequence[str], train: int) -> tuple[Vocabulary, NDArray[np.int16] | None]:
    """Return the vocabulary of the first `train` captions, and the tokens of all: int16 [n t], 0 for padding.

    Captions with other words, or longer than all of the first ones, are all padding. The vocabulary is empty, and there are no
    tokens, where it is not small or without words.
    """
    vocabulary = Vocabulary.of(captions[:train])
    if not 0 < len(vocabulary.words) <= MOST_WORDS or vocabulary.longest > MOST_IN_CAPTION:
        return Vocabulary((), 0), None
    return vocabulary, vocabulary.tokens(captions).astype(np.int16)

"""The closed vocabulary of captions: their words, and the numbers that stand for them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from simulacra.core.errors import UsageError

PADDING = 0
_WORD = re.compile(r"[^\W_]+")  # letters and digits of any script


@dataclass(frozen=True)
class Vocabulary:
    """The words of some captions, in alphabetical order, and the largest number of words in one of them.

    The number of words[k] is k + 1; 0 is the padding after the last word of a caption.
    """

    words: tuple[str, ...]
    longest: int

    @staticmethod
    def of(captions: Iterable[str]) -> "Vocabulary":
        """Return the vocabulary of captions.

        >>> Vocabulary.of(["A red seven", "seven, coloured red", ""])
        Vocabulary(words=('a', 'coloured', 'red', 'seven'), longest=3)
        """
        split = [words_of(caption) for caption in set(captions)]
        return Vocabulary(tuple(sorted({word for words in split for word in words})), max(map(len, split), default=0))

    def tokens(self, captions: Sequence[str]) -> NDArray[np.int64]:
        """Return the numbers of the words of captions, padded with 0: int64 [n longest].

        An empty caption is all padding. So is one with a word that is not in the vocabulary, or with more than `longest` words.
        """
        numbers = {word: number for number, word in enumerate(self.words, 1)}
        rows: dict[str, list[int]] = {}
        for caption in set(captions):
            row = [numbers.get(word, PADDING) for word in words_of(caption)]
            known = PADDING not in row and len(row) <= self.longest
            rows[caption] = row + [PADDING] * (self.longest - len(row)) if known else [PADDING] * self.longest
        return np.array([rows[caption] for caption in captions], np.int64).reshape(len(captions), self.longest)

    def parse(self, caption: str) -> NDArray[np.int64]:
        """Return the numbers of one caption, int64 [longest], as a user wrote it.

        Raises UsageError for unknown words, each with the nearest known ones, for more than `longest` words, and for none.

        >>> Vocabulary(("a", "red", "seven"), 4).parse("A red Seven!").tolist()
        [1, 2, 3, 0]
        >>> Vocabulary(("a", "red", "seven"), 4).parse("reed")
        Traceback (most recent call last):
        simulacra.core.errors.UsageError: caption 'reed' has the unknown word 'reed' (nearest: red): use those of the captions
        """
        words = words_of(caption)
        if unknown := [word for word in dict.fromkeys(words) if word not in self.words]:
            named = ", ".join(f"{word!r} ({self._nearest(word)})" for word in unknown)
            what = f"the unknown word{'s' if len(unknown) > 1 else ''} {named}"
            raise UsageError(f"caption {caption!r} has {what}: use those of the captions")
        if not 1 <= len(words) <= self.longest:
            raise UsageError(f"caption {caption!r} has {len(words)} words, expected 1 to {self.longest}")
        return self.tokens([caption])[0]

    def _nearest(self, word: str) -> str:
        near = get_close_matches(word, self.words, n=3, cutoff=0.5)
        return f"nearest: {', '.join(near)}" if near else f"known: {', '.join(self.words)}"


def words_of(caption: str) -> list[str]:
    """Return the words of a caption: its runs of letters and digits, in lower case; everything else separates words.

    >>> words_of("The T-shirt, in size 10 (new_one).")
    ['the', 't', 'shirt', 'in', 'size', '10', 'new', 'one']
    """
    return _WORD.findall(normalize("NFC", caption.lower()))

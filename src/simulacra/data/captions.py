"""Captions of prepared images, read when they are first used."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Captions:
    """Some lines of a JSON-lines file of captions. rows: int64 [n], the line of each image."""

    path: Path
    rows: NDArray[np.int64]

    def __getitem__(self, indices: NDArray[np.int64] | slice) -> "Captions":
        """Return the captions of some of the images."""
        return Captions(self.path, self.rows[indices])

    def read(self) -> tuple[str, ...]:
        """Return the captions, one for each image; empty where an image has none."""
        lines = _lines(self.path)
        return tuple(json.loads(lines[row]) for row in self.rows)


def write_captions(path: Path, captions: Iterable[str]) -> None:
    """Write captions as JSON lines, of which each is one text."""
    path.write_text("".join(f"{json.dumps(caption)}\n" for caption in captions))


def count_captions(path: Path) -> int:
    """Return the number of captions in a file; raises OSError if it cannot be read."""
    return path.read_bytes().count(b"\n")


@lru_cache(maxsize=2)
def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")

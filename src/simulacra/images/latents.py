"""Latents of images with their names, as arrays (.npz) or as a table (.csv)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from simulacra.core.batch import DataSpec
from simulacra.core.csv_text import csv_text
from simulacra.core.files import write_text
from simulacra.images.arrays import npz_writer
from simulacra.images.files import make_folder
from simulacra.runs.named_split import NamedSplit

Write = Callable[[int, np.ndarray], None]
"""Writes the latents [b d] of the images from a number on."""


def latents_writer(path: Path, chosen: NamedSplit, spec: DataSpec) -> AbstractContextManager[Write]:
    """Write latents in parts, in the order of the images; the suffix of the path decides the form. Raises Unwritable."""
    return (_arrays if path.suffix.lower() == ".npz" else _table)(path, chosen, chosen.label_names(spec))


@contextmanager
def _arrays(path: Path, chosen: NamedSplit, labels: list[str]) -> Iterator[Write]:
    """Write an .npz file in parts."""
    with npz_writer(path, len(chosen.names)) as write:

        def write_rows(start: int, latents: np.ndarray) -> None:
            rows = slice(start, start + len(latents))
            arrays = {"latents": latents, "names": np.array(chosen.names[rows])}
            if labels and chosen.split.labels is not None:
                arrays |= {"labels": chosen.split.labels[rows], "label_names": np.array(labels[rows])}
            write(start, arrays)

        yield write_rows


@contextmanager
def _table(path: Path, chosen: NamedSplit, labels: list[str]) -> Iterator[Write]:
    """Write a .csv file when all latents are known."""
    parts = list[np.ndarray]()
    yield lambda start, latents: parts.append(latents)
    latents = np.concatenate(parts)
    columns = ["file", *(["label"] if labels else []), *(f"z{number}" for number in range(latents.shape[1]))]
    known = zip(chosen.names, labels, strict=True) if labels else zip(chosen.names, strict=True)
    make_folder(path.parent)
    write_text(path, csv_text(columns, ([*own, *row.tolist()] for own, row in zip(known, latents, strict=True))))

"""Writing of arrays that do not fit in memory into one .npz file."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from simulacra.core.files import unwritable
from simulacra.images.files import make_folder

Arrays = Mapping[str, "np.ndarray[Any, Any]"]


@contextmanager
def npz_writer(path: Path, count: int, **facts: float | bool) -> Iterator[Callable[[int, Arrays], None]]:
    """Write arrays [count ...] in parts into an .npz file: by a function of the first row of a part and its arrays by name.

    The arrays are memory-mapped files in a temporary folder beside `path` until all rows are written; the file then replaces an
    earlier one, and after an error nothing is left. Arrays of texts are held in memory. facts: numbers that are stored as arrays
    without dimensions. Raises Unwritable.
    """
    make_folder(path.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent) as name:
            folder, held = Path(name), dict[str, "np.memmap[Any, Any]"]()
            texts: dict[str, list[np.ndarray[Any, Any]]] = {}

            def write(start: int, arrays: Arrays) -> None:
                for key, rows in arrays.items():
                    if rows.dtype.kind == "U":
                        texts.setdefault(key, []).append(rows)
                        continue
                    if key not in held:
                        shape = (count, *rows.shape[1:])
                        held[key] = np.lib.format.open_memmap(folder / f"{key}.npy", "w+", rows.dtype, shape)
                    held[key][start : start + len(rows)] = rows

            yield write
            for array in held.values():
                array.flush()
            small = {key: np.concatenate(parts) for key, parts in texts.items()} | facts
            for key, value in small.items():
                np.save(folder / f"{key}.npy", np.asarray(value), allow_pickle=False)
            packed = folder / path.name
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for key in (*held, *small):
                    archive.write(folder / f"{key}.npy", f"{key}.npy")
            shutil.move(packed, path)
    except OSError as error:
        raise unwritable(path, error) from error

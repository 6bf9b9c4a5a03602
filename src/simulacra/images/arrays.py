"""Writing of arrays that do not fit in memory into one .npz file."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from simulacra.core.files import unwritable
from simulacra.images.files import make_folder

Arrays = Mapping[str, np.ndarray]


@contextmanager
def npz_writer(path: Path, count: int) -> Iterator[Callable[[int, Arrays], None]]:
    """Write arrays [count ...] in parts into an .npz file: a function of the first row of a part and its arrays by name.

    The arrays are memory-mapped files in a temporary folder beside `path` until all rows are written. Every row must be written
    once; without an error the file is complete and replaces an earlier one. Raises Unwritable.
    """
    make_folder(path.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent) as name:
            folder, open_arrays = Path(name), dict[str, np.memmap]()

            def write(start: int, arrays: Arrays) -> None:
                for key, rows in arrays.items():
                    if key not in open_arrays:
                        file, shape = folder / f"{key}.npy", (count, *rows.shape[1:])
                        open_arrays[key] = np.lib.format.open_memmap(file, "w+", rows.dtype, shape)
                    open_arrays[key][start : start + len(rows)] = rows

            yield write
            for array in open_arrays.values():
                array.flush()
            packed = folder / path.name
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
                for key in open_arrays:
                    archive.write(folder / f"{key}.npy", f"{key}.npy")
            shutil.move(packed, path)
    except OSError as error:
        raise unwritable(path, error) from error

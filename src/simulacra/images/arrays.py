"""Writing of arrays that do not fit in memory into one .npz file."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from simulacra.core.files import unwritable
from simulacra.images.files import make_folder

Arrays = Mapping[str, "np.ndarray[Any, Any]"]


@contextmanager
def npz_writer(path: Path, count: int, **facts: float | bool) -> Iterator[Callable[[int, Arrays], None]]:
    """Write arrays [count ...] in parts into an .npz file: by a function of the first row of a part and its arrays by name.

    The arrays are files in a temporary folder beside `path` until all rows are written; the file then replaces an earlier one,
    and after an error nothing is left. Arrays of texts are held in memory. facts: numbers that are stored as arrays without
    dimensions. Raises Unwritable.
    """
    make_folder(path.parent)
    try:
        temporary = tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with temporary as name, ExitStack() as files:
            folder, held = Path(name), dict[str, tuple[IO[bytes], int]]()  # each file, and where its rows begin
            texts: dict[str, list[np.ndarray[Any, Any]]] = {}

            def write(start: int, arrays: Arrays) -> None:
                for key, rows in arrays.items():
                    if rows.dtype.kind == "U":
                        texts.setdefault(key, []).append(rows)
                        continue
                    if key not in held:
                        held[key] = _new_array(files.enter_context((folder / f"{key}.npy").open("wb")), count, rows)
                    file, first = held[key]
                    file.seek(first + start * (rows.nbytes // len(rows)))
                    file.write(np.ascontiguousarray(rows).data)

            yield write
            files.close()
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


def _new_array(file: IO[bytes], count: int, rows: "np.ndarray[Any, Any]") -> tuple[IO[bytes], int]:
    """Write the header of an array of `count` such rows; return the file and where its rows begin.

    Not by a memory map, whose pages would count as memory of the process until the end.
    """
    descr = np.lib.format.dtype_to_descr(rows.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": (count, *rows.shape[1:])}
    np.lib.format.write_array_header_2_0(file, header)
    return file, file.tell()

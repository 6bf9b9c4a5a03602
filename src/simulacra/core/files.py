"""Writing that is whole or not there: temporary file, fsync, rename."""

import json
import os
from pathlib import Path
from typing import Any

from simulacra.core.errors import SimulacraError


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically; raises SimulacraError where the disk is full or the folder cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> SimulacraError:
    """Return the error of a file that could not be written, with the reason and what to do."""
    return SimulacraError(f"cannot write {path}: {error.strerror or error}. Free some space there, or choose another folder")

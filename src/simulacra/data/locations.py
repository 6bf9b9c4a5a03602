"""Locations of data on this machine: the user's data folder and the cache folder."""

import os
from pathlib import Path

from simulacra.core.home import expand_home

DATA_VARIABLE = "SIMULACRA_DATA"
CACHE_VARIABLE = "SIMULACRA_CACHE"


def data_folder() -> Path | None:
    """Return the folder that $SIMULACRA_DATA names, or None."""
    value = os.environ.get(DATA_VARIABLE)
    return expand_home(value) if value else None


def cache_folder() -> Path:
    """Return $SIMULACRA_CACHE, else $XDG_CACHE_HOME/simulacra, else ~/.cache/simulacra; it need not exist."""
    if value := os.environ.get(CACHE_VARIABLE):
        return expand_home(value)
    if value := os.environ.get("XDG_CACHE_HOME"):
        return expand_home(value) / "simulacra"
    return Path.home() / ".cache" / "simulacra"


def find_file(name: str, *files: str) -> Path | None:
    """Return the first of the alternatives `files` (files or folders) found for the data set `name`, or None."""
    own = data_folder()
    folders = (*((own / name, own) if own else ()), cache_folder() / name)
    places = (folder / file for folder in folders for file in files)
    return next((place for place in places if exists(place)), None)


def exists(path: Path) -> bool:
    """Return whether a path exists and can be accessed."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def put_where(name: str) -> str:
    """Return, in words, where to put the files of the data set `name`."""
    own = data_folder()
    return str(own / name) if own else f"{cache_folder() / name} or ${DATA_VARIABLE}/{name}"

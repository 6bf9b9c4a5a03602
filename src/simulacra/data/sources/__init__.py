"""Sources of images, one file each; every module of this package that defines SOURCE is found here."""

import importlib
import pkgutil
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from simulacra.core.errors import DataError, UsageError, unknown
from simulacra.core.home import expand_home
from simulacra.core.progress import SILENT, Progress
from simulacra.data.layout.domains import domains_in
from simulacra.data.locations import cache_folder, data_folder, exists
from simulacra.data.preparation.prepared import prepared_names
from simulacra.data.settings import (
    WITH_METADATA,
    WITH_PATH,
    DataConfig,
    DomainsConfig,
    Settings,
    split_transform,
    without_transforms,
)
from simulacra.data.shards.index import holds_shards, split_title
from simulacra.data.source import Material, Source
from simulacra.data.synthetic.transforms import TRANSFORMS, transformed

_ARRAY_SUFFIXES = (".npy", ".npz")
_TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".feather", ".xls", ".xlsx", ".arff")


@dataclass(frozen=True)
class Listing:
    """One line of `simulacra data list`: where is a path, "embedded", "your own" or "not here"."""

    name: str
    summary: str
    size: str
    where: str
    prepared: bool


@cache
def sources() -> dict[str, Source]:
    """Return every source by name."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    known: list[Source] = [module.SOURCE for module in modules]
    return {source.name: source for source in sorted(known, key=lambda source: source.name)}


def names() -> tuple[Listing, ...]:
    """Return what can be given as --data: sources, folders in $SIMULACRA_DATA and transforms; reads no images."""
    ready = prepared_names()
    rows = [Listing(name, one.summary, one.size, one.place() or "not here", name in ready) for name, one in sources().items()]
    for path in _own_folders():
        shards = holds_shards(path)
        title = split_title(path.name, "test") if shards else path.name
        rows.append(Listing(path.name, f"a folder of {'tar shards' if shards else 'images'}", "", str(path), title in ready))
    made = {split_transform(title)[1] for title in ready}
    rows += [Listing(f"NAME-{name}", row.summary, "as NAME", "made from NAME", name in made) for name, row in TRANSFORMS.items()]
    return tuple(rows)


def locate(config: DataConfig, progress: Progress = SILENT) -> Material:
    """Return the material that the settings name; downloads it if necessary.

    Raises UsageError for an unknown name, with the nearest valid one, and for settings that the source does not
    support, DataError if nothing can be read.
    """
    for name in (config.data, config.path, config.test_path):
        _refuse_table(name)
    if shadowed := _shadowed(config):
        progress.message(shadowed)
    if config.data in sources():
        if config.test_path and config.data not in WITH_PATH:
            raise UsageError(f"--test-path is for your own images: {config.data} has its own test images")
        return _find(config, progress)
    source, transform = split_transform(config.data)
    if transform and (source in sources() or not _found(config.data)):
        return transformed(locate(replace(config, data=source), progress), transform, config)
    return at_path(_path(config.data), config, progress)


def _shadowed(config: DataConfig) -> str:
    """Return a note on a data set whose name is also that of a folder or file here; empty where there is none."""
    name, own = config.data, data_folder()
    if without_transforms(name) not in sources() or config.path or not exists(Path(name)) or (own and exists(own / name)):
        return ""
    return f"{name} is the built-in data set; for ./{name} give --data ./{name}"


def located(config: Settings, progress: Progress = SILENT) -> Settings:
    """Return the settings with absolute paths, and with the domains of a folder that has both; names of data sets stay."""
    config = with_domains(config, progress)
    if isinstance(config, DomainsConfig):
        paths, named = {f"{name}_test_path": place for name, place in config.tests.items()}, config.named
    else:
        paths, named = {"path": config.path, "test_path": config.test_path}, {"data": config.data}
    paths |= {name: place for name, place in named.items() if place and _is_place(place)}
    whole: dict[str, Any] = {name: str(expand_home(place).absolute()) for name, place in paths.items() if place}
    return replace(config, **whole)


def with_domains(config: Settings, progress: Progress = SILENT) -> Settings:
    """Return settings of two domains with both sources: those found in the folder `data` if it is given; others unchanged."""
    if isinstance(config, DomainsConfig) and config.data:
        if config.data in sources():
            raise UsageError(f"{config.data} is one data set, and two domains are needed: give --data.a and --data.b")
        return cast(Settings, domains_in(_path(config.data), config, progress))
    return config


def is_own(name: str) -> bool:
    """Return whether a value of --data names images of one's own, and not a data set of Simulacra or a transform of one."""
    source = without_transforms(name)
    return source in WITH_PATH or source not in sources()


def _is_place(name: str) -> bool:
    """Return whether a name is an existing path, with or without transform suffixes, and not that of a source."""
    source = without_transforms(name)
    return source not in sources() and any(exists(expand_home(text)) for text in (name, source))


def at_path(path: Path, config: DataConfig | None = None, progress: Progress = SILENT) -> Material:
    """Return the material at a path: a NumPy file, a folder of shards, or else a folder or archive of images."""
    _refuse_table(str(path))
    kind = "array" if path.suffix.lower() in _ARRAY_SUFFIXES else "shards" if holds_shards(path) else "folder"
    if config is not None and config.frames and kind != "folder":
        raise UsageError(f"--frames is for folders and archives of images, and {path} is none: leave it out")
    return _find(replace(config or DataConfig(), data=kind, path=str(path)), progress)


def is_folder(path: Path) -> bool:
    """Return whether a path is that of a folder or archive of images, by its name: not of an array, a table or shards."""
    return (path.is_dir() or path.suffix.lower() not in (*_ARRAY_SUFFIXES, *_TABLE_SUFFIXES)) and not holds_shards(path)


def _refuse_table(name: str) -> None:
    """Raise DataError for the name of a table, whether it exists or not."""
    if Path(name).suffix.lower() in _TABLE_SUFFIXES and not expand_home(name).is_dir():
        advice = "give images, or use a library for tables such as sdv or ctgan"
        raise DataError(f"{name} is a table, and Simulacra generates images only: {advice}")


def _find(config: DataConfig, progress: Progress) -> Material:
    """Return the material of a source; raises UsageError if it does not support --label-column and this is given."""
    if config.label_column and config.data not in WITH_METADATA:
        place = f"{config.data} ({config.path})" if config.path else config.data
        needed = "folders and archives of images with a metadata file"
        raise UsageError(f"--label-column is for {needed}, and {place} has none: leave it out")
    return sources()[config.data].find(config, progress)


def _found(name: str) -> Path | None:
    """Return the path of this name, as given or inside $SIMULACRA_DATA; None if neither exists."""
    own = data_folder()
    candidates = [expand_home(name), *([own / name] if own else [])] if name else []
    return next((path for path in candidates if exists(path)), None)


def _path(name: str) -> Path:
    if found := _found(name):
        return found
    if "/" in name or "\\" in name or Path(name).suffix:
        raise DataError(f"no such file or folder, or it may not be read: {name}: check the path, or see `simulacra data list`")
    known, source = [*sources(), *(path.name for path in _own_folders())], name.rpartition("-")[0]
    if source in known:
        known += [f"{source}-{transform}" for transform in TRANSFORMS]
    raise unknown("data set (and no such folder here)", name, known)


def _own_folders() -> list[Path]:
    """Return the folders in $SIMULACRA_DATA that do not belong to a named source."""
    own = data_folder()
    taken = {*sources(), "cifar-10-batches-bin"}
    found = own.glob("[!.]*") if own else ()
    return sorted(path for path in found if path.is_dir() and path.name not in taken and path != cache_folder())

"""Packing of any source into tar shards of lossless PNG files and class numbers, decoded and cropped as for training."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BytesIO
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np

from simulacra.core.errors import UsageError
from simulacra.core.files import require_writable, sync_folder
from simulacra.core.progress import SILENT, Meter, Progress
from simulacra.data.dataset import Split
from simulacra.data.formats.refused import Refused
from simulacra.data.load import load
from simulacra.data.preparation.prepared import Skipped, temporary_beside
from simulacra.data.preparation.settled import settle
from simulacra.data.settings import SHARD_IMAGES, DataConfig
from simulacra.data.shards.decoding import Form
from simulacra.data.shards.index import FORMAT, INDEX, NAMES, Index
from simulacra.data.shards.reading import Shard, samples, webdataset
from simulacra.data.source import Pixels, SplitName
from simulacra.data.sources import locate

_Labelled = tuple[Pixels, int | None]


@dataclass(frozen=True)
class _Contents:
    """The images to pack: for each split their number, and a function that yields them in order with their class numbers."""

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    counts: Mapping[SplitName, int]
    read: Callable[[SplitName], Iterator[_Labelled]]


def pack(config: DataConfig, folder: Path, shard_images: int = SHARD_IMAGES, progress: Progress = SILENT) -> dict[str, Any]:
    """Write the three splits of the data set as shards of `shard_images` images; return the contents of shards.json.

    The folder appears complete or not at all. Raises UsageError if it exists and is not empty, for images of 2 or 4 channels and
    for several attributes, DataError for a source that cannot be read and a full disk.
    """
    if shard_images < 1:
        raise UsageError(f"--shard-images is {shard_images}, expected at least 1")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already and is not empty: choose another --out")
    require_writable(folder)
    webdataset("writer")
    contents = _contents(config, progress)
    if contents.shape[2] not in (1, 3):
        seen = f"{contents.name} has {contents.shape[2]} channels"
        raise UsageError(f"{seen}, shards hold grey or colour images: add --channels 1 or 3")
    with temporary_beside(folder, "shards", "free some space there, or choose another --out") as temporary:
        table = _write(contents, temporary, shard_images, progress)
        temporary.rename(folder)
        sync_folder(folder.parent)
    return table


def _contents(config: DataConfig, progress: Progress) -> _Contents:
    material = locate(config, progress)
    config, index = settle(config, [(material, config)], progress), material.shards
    if index is not None and not index.few and not config.limit and not config.only_classes:
        return _of_shards(index, config, progress)
    data = load(config, progress)
    if data.spec.attributes:
        names = ", ".join(attribute.name for attribute in data.spec.attributes)
        raise UsageError(f"shards hold one label for each image, and {data.name} has several ({names}): give one --label-column")
    if data.train.stored_captions is not None:
        progress.message(f"{data.name}: captions are not packed")
    splits: dict[SplitName, Split] = {split.name: split for split in data.splits}

    def read(name: SplitName) -> Iterator[_Labelled]:
        labels = splits[name].labels
        return zip(splits[name].images, repeat(None) if labels is None else labels.tolist(), strict=False)

    channels, height, width = data.spec.shape
    counts = {name: len(split) for name, split in splits.items()}
    return _Contents(data.name, (height, width, channels), data.spec.classes, counts, read)


def _of_shards(index: Index, config: DataConfig, progress: Progress) -> _Contents:
    form = Form.of(index, config)
    skipped: dict[str, list[str]] = {}

    def read(name: SplitName) -> Iterator[_Labelled]:
        for path in (index.folder / shard.file for shard in index.splits[name]):
            for sample in samples(path):
                try:
                    found = form.pixels(sample, path), form.number(sample, path) if index.labels else None
                except Refused as refusal:
                    skipped.setdefault(str(refusal), []).append(f"{path.name}/{sample.name}")
                else:
                    yield found
        if name == NAMES[-1] and skipped:
            progress.message(f"{index.name}: skipped {Skipped.of(skipped).line()}")

    return _Contents(index.name, form.shape, index.classes, {name: index.images(name) for name in NAMES}, read)


def _write(contents: _Contents, folder: Path, shard_images: int, progress: Progress) -> dict[str, Any]:
    """Write all shards, then the index that names them."""
    digest = sha256(json.dumps([contents.shape, contents.classes]).encode())
    shards: dict[SplitName, list[dict[str, Any]]] = {name: [] for name in NAMES}
    with progress.task(f"packing {contents.name}", sum(contents.counts.values()), "images") as meter:
        for name, written in shards.items():
            images = contents.read(name)
            while some := list(islice(images, 1)):
                path = folder / f"{name}-{len(written):06d}.tar"
                written.append(asdict(_write_shard(path, chain(some, islice(images, shard_images - 1)), digest.update, meter)))
    facts = {"format": FORMAT, "name": contents.name, "shape": [*contents.shape], "classes": [*contents.classes]}
    table = {**facts, "digest": digest.hexdigest(), "shards": shards}
    (folder / INDEX).write_text(json.dumps(table, indent=1) + "\n")
    for path in (folder / INDEX, folder):
        sync_folder(path)
    return table


def _write_shard(path: Path, images: Iterable[_Labelled], update: Callable[[bytes], None], meter: Meter) -> Shard:
    """Write one shard and update the digest of all images; equal images give equal bytes."""
    count, title = 0, path.stem
    with path.open("wb") as file:
        with webdataset("writer").TarWriter(file, encoder=False, mtime=0, user="", group="") as writer:
            for count, (pixels, label) in enumerate(images, 1):
                held = {} if label is None else {"cls": str(label).encode()}
                writer.write({"__key__": f"{title}-{count - 1:06d}", "png": _png(pixels), **held})
                update(f"{title}|{count}|{label}|{sha256(pixels.tobytes()).hexdigest()}\n".encode())
                meter.advance()
        file.flush()
        os.fsync(file.fileno())
    return Shard(path.name, count, path.stat().st_size)


def _png(pixels: Pixels) -> bytes:
    """Return an image [h w 1] or [h w 3] as a PNG file, which is lossless."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)).save(file, "PNG")
    return file.getvalue()

"""Trained extractors in the cache: weights and facts, consistent also where several processes write at the same time.

A folder contains `extractor.json` and the weights that it names, `<first digits of their sha256>.safetensors`. The weights are
written first. The JSON is written last and replaces its predecessor atomically, so it always names existing weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor

from simulacra.core.errors import DataError
from simulacra.core.files import write_bytes, write_json
from simulacra.core.progress import Progress
from simulacra.data.dataset import Dataset, Split
from simulacra.data.locations import cache_folder
from simulacra.engine.distributed.shared_work import sharing_processes
from simulacra.features.extractor import Embedding, Extractor
from simulacra.images.files import make_folder

FACTS = "extractor.json"
FORMAT = 1  # increased when networks, their training, or the facts change


class DamagedWeights(DataError):
    """Weights that are missing or corrupted."""


@dataclass(frozen=True)
class Stored:
    """Weights by name, and facts: digest, data, accuracy, settings, versions, hardware, time."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def place(name: str, data: Dataset, seed: int) -> Path:
    """Return the folder of an extractor trained on these data; it depends on the images, their size and number, and the seed."""
    identity = json.dumps([FORMAT, data.digest, data.spec.shape, len(data.train)])
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in data.name)
    return cache_folder() / "extractors" / f"{name}-{plain}-{sha256(identity.encode()).hexdigest()[:12]}-seed{seed}"


def write(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Stored:
    """Store weights and facts, to which the sha256 of the weights is added; remove other weights in the folder."""
    plain = {name: tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    content = serialize_tensors(plain)
    digest = sha256(content).hexdigest()
    file = f"{digest[:16]}.safetensors"
    complete = {"format": FORMAT, **facts, "weights": file, "sha256": digest}
    make_folder(folder)
    write_bytes(folder / file, content)
    write_json(folder / FACTS, complete)
    for other in set(folder.glob("*.safetensors")) - {folder / file}:
        other.unlink(missing_ok=True)
    return Stored(plain, complete)


def read(folder: Path) -> Stored | None:
    """Return the weights and facts in a folder; None where there are none. Raises DamagedWeights."""
    if not (folder / FACTS).exists():
        return None
    try:
        facts = _facts(folder / FACTS)
        tensors, digest = read_tensors(folder / facts["weights"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DamagedWeights(f"the extractor in {folder} is damaged: {error}") from error
    if digest != facts["sha256"]:
        other = f"{facts['weights']} has another SHA-256 than when it was written"
        raise DamagedWeights(f"the extractor in {folder} is damaged: {other}")
    return Stored(tensors, facts)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a safetensors file and the sha256 of the file; raises OSError or SafetensorError."""
    content = path.read_bytes()
    return parse_tensors(content), sha256(content).hexdigest()


def stored_facts() -> list[tuple[Path, dict[str, Any]]]:
    """Return folder and facts of each extractor in the cache, in alphabetical order, except damaged ones."""
    found = []
    for path in sorted(cache_folder().glob(f"extractors/*/{FACTS}")):
        try:
            facts = _facts(path)
            if (path.parent / facts["weights"]).is_file():
                found.append((path.parent, facts))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def cached_embedding(extractor: Extractor, data: Dataset, split: Split, progress: Progress) -> Embedding:
    """Return features and predicted classes of a split of a data set, which are computed once and stored in the cache.

    Processes that share work share the images, and the first stores the features.
    """
    path, processes = _embedding_file(extractor, data, split), sharing_processes()
    stored = _read_embedding(path)
    if processes.from_first(lambda: stored is not None):
        if stored is None:
            raise DataError(not_in_cache(f"the features of the {split.name} images of {data.name}"))
        return stored
    with progress.task(f"features of {split.name} images", len(split), "images") as meter:
        found = extractor.embed(split, meter)
    processes.lead(lambda: _write_embedding(path, found))
    return found


def not_in_cache(what: str) -> str:
    """Return the error message for what the first of several processes has in its cache, and this process has not."""
    return (
        f"{what}, which the first process has in its cache, cannot be read from {cache_folder()}: all processes need the same "
        "cache folder (SIMULACRA_CACHE) on a file system that they share"
    )


def _read_embedding(path: Path) -> Embedding | None:
    try:
        tensors, _ = read_tensors(path)
        return Embedding(tensors["features"], tensors.get("predictions"))
    except (OSError, SafetensorError, KeyError):
        return None


def _write_embedding(path: Path, found: Embedding) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in vars(found).items() if tensor is not None}
    write_bytes(path, serialize_tensors(tensors))


def is_embedded(extractor: Extractor, data: Dataset, split: Split) -> bool:
    """Return whether the features of a split are in the cache."""
    return _embedding_file(extractor, data, split).is_file()


def _embedding_file(extractor: Extractor, data: Dataset, split: Split) -> Path:
    # images of several sizes share the digest of their source
    identity = json.dumps((extractor.digest, extractor.network.rule(), data.digest, data.spec.shape, split.name, len(split)))
    return cache_folder() / "features" / f"{sha256(identity.encode()).hexdigest()[:32]}.safetensors"


def _facts(path: Path) -> dict[str, Any]:
    """Return the facts in a file; raises OSError, ValueError, KeyError or TypeError for another format."""
    facts: dict[str, Any] = json.loads(path.read_text())
    if facts["format"] != FORMAT:
        raise ValueError(f"its format is {facts['format']}, and this version of Simulacra reads {FORMAT}")
    return facts

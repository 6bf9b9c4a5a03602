"""Feature extractors by name."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, NotApplicable, UsageError
from simulacra.core.home import expand_home
from simulacra.core.progress import SILENT, Progress
from simulacra.core.text import quoted
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.data.locations import find_file, put_where
from simulacra.data.settings import DataConfig
from simulacra.engine.hardware import device_of
from simulacra.features import networks as extractors
from simulacra.features.cache import read_tensors, stored_facts
from simulacra.features.extractor import Classifier, Extractor
from simulacra.features.networks import inception
from simulacra.features.training import train_extractor, unreadable, unsuited

GREY, COLOUR = "lenet", "resnet18"
_SMALL = 32  # pixels of the longer side of grey images, at most, for the first
_FILE = "pt_inception-2015-12-05.safetensors"


def default_extractor(spec: DataSpec) -> str:
    """Return the default extractor for images of this shape: `lenet` for grey images of at most 32 pixels, else `resnet18`.

    >>> default_extractor(DataSpec(1, 28, 28)), default_extractor(DataSpec(3, 32, 32))
    ('lenet', 'resnet18')
    """
    return GREY if spec.channels == 1 and max(spec.height, spec.width) <= _SMALL else COLOUR


def parse(name: str) -> tuple[str, str]:
    """Return the kind of an extractor, and the data set or file after the colon, empty if there is none.

    Raises UsageError for an unknown kind.

    >>> parse("lenet:mnist"), parse("resnet18")
    (('lenet', 'mnist'), ('resnet18', ''))
    """
    kind, _, source = name.partition(":")
    extractors.find(kind)
    return kind, source


def feature_dimensions(name: str) -> int:
    """Return the number of features of an image by the extractor of this name; raises UsageError for an unknown name.

    >>> feature_dimensions("lenet:mnist")
    128
    """
    return extractors.find(parse(name)[0]).dimensions


def why_not(name: str, data: Dataset) -> str:
    """Return why an extractor cannot be used with these data, and the remedy; empty if it can.

    Evaluations check this before they measure anything. Raises UsageError for an unknown name.
    """
    kind, source = parse(name)
    if not _is_trained(kind):
        return _absence(source) or unreadable(kind, data)
    return unreadable(kind, data) if source else unsuited(kind, data)


def load_extractor(
    name: str,
    data: Dataset,
    seed: int = 0,
    progress: Progress = SILENT,
    *,
    device: torch.device | None = None,
    cached: bool = False,
) -> Extractor:
    """Return the extractor of this name on a device, by default a GPU if there is one; it is trained now if it is not cached.

    name: `lenet` or `resnet18` (trained on `data`), `lenet:mnist` (trained on all of another data set), `inception` or
    `inception:PATH` (weights on disk). seed: of the training. Raises NotApplicable with the reason of `why_not`, DataError for
    weights or data that cannot be read, NotTrained with `cached` where one would have to be trained.
    """
    if reason := why_not(name, data):
        raise NotApplicable(reason)
    kind, source = parse(name)
    if _is_trained(kind):
        source_data = load(DataConfig(data=source), progress) if source else data
        found = train_extractor(kind, source_data, {"seed": seed}, progress, any_settings=True, cached=cached)
    else:
        found = _from_file(_weights_file(source))
    found.network.to(device or device_of("auto"))
    return found


def facts_of(name: str, seed: int | None = None) -> list[dict[str, Any]]:
    """Return the facts of the extractors in the cache, or of the weights on disk, with this name and seed.

    There are several if it was trained on images of several sizes or with several seeds. Raises UsageError where there is none.
    """
    kind, source = parse(name)
    if not _is_trained(kind):
        if reason := _absence(source):
            raise NotApplicable(reason)
        return [dict(_from_file(_weights_file(source)).facts)]
    named = (facts for _, facts in stored_facts() if facts["extractor"] == kind and source in ("", facts["data"]["name"]))
    if found := [facts for facts in named if seed in (None, facts["seed"])]:
        return found
    wanted = name if seed is None else f"{name} with seed {seed}"
    command = f"simulacra extractor train {kind} --data {quoted(source) if source else 'NAME'}"
    raise UsageError(f"no {wanted} is cached: see 'simulacra extractor list', or train it with `{command}`")


def _is_trained(kind: str) -> bool:
    return issubclass(extractors.find(kind), Classifier)


# --- weights on disk


def _weights_file(source: str) -> Path:
    """Return the path of the Inception weights: the given one, else the default."""
    return expand_home(source) if source else find_file("inception", _FILE) or Path(put_where("inception"), _FILE)


def _absence(source: str) -> str:
    """Return why the Inception weights cannot be used; empty if they can."""
    path = _weights_file(source)
    if path.suffix != ".safetensors":
        return (
            f"{path} is not a .safetensors file, and other formats can execute code when loaded. Convert it once: python -c "
            f'"from torch import load; from safetensors.torch import save_file; '
            f"save_file(load('{path}', weights_only=True), '{path.with_suffix('.safetensors')}')\""
        )
    if path.is_file():
        return ""
    return (
        f"there are no Inception weights at {path}: Simulacra neither contains nor downloads those of the published FID. Put "
        f"pt_inception-2015-12-05 there as {_FILE}, or give its path: inception:PATH"
    )


def _from_file(path: Path) -> Extractor:
    try:
        tensors, digest = read_tensors(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"the Inception weights {path} cannot be read: {error}") from error
    network = inception.with_weights(tensors, path)
    facts = {"name": "inception", **network.facts(), "weights": str(path), "sha256": digest}
    return Extractor("inception", network, digest, (), facts)

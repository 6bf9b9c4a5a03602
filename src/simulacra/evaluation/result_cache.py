"""Results of metrics stored in a run folder, each in a file whose name is a digest of everything that they depend on."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.files import write_bytes, write_json
from simulacra.images.files import make_folder
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs import own_families
from simulacra.runs.provenance import now

_VERSION = 4  # increased when a metric changes, so that results of older versions are not used
_DIGITS = 20  # of the digest in the name of a file


def result_file(metric: Metric, context: EvaluationContext) -> Path:
    """Return the file of a metric's results: for these weights, data, settings, sampling plan and feature extractors.

    Extractors that are not cached are trained now, since their digests are part of the name.
    """
    settings = context.settings.table()
    identity: dict[str, Any] = {
        "version": _VERSION,
        "weights": context.opened.digest,
        "data": context.opened.dataset.digest,
        f"{context.settings.split}_images": len(context.split),
        **{name: settings[name] for name in metric.settings},
    }
    if code := own_families.digest(context.opened.run.config.family):
        identity["family"] = code
    if "samples" in metric.settings and context.sampling_protocol:
        identity["plan"] = context.sampling_protocol
    if "samples" in metric.settings:
        identity |= context.label_shares.facts
    if "extractor" in metric.settings:
        identity["extractor"] = [f"{one.network.title}:{one.digest}" for one in metric.extractors(context)]
    return context.opened.run.evaluations / "metrics" / f"{metric.name}-{digest(identity)[:_DIGITS]}.json"


def read_results(file: Path) -> MetricResults | None:
    """Return stored results; None where there are none, or where the file is damaged."""
    try:
        content = json.loads(file.read_text())
        if content.pop("sha256") != digest(content):
            return None
        scores = {name: _decoded(text) for name, text in content["scores"].items()}
        measurements = {name: replace(Measurement.of(item), scores=scores.get(name)) for name, item in content["metrics"].items()}
        return MetricResults(measurements, content["missing"], content["artifacts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_results(file: Path, results: MetricResults) -> None:
    """Store results with a digest of the file's own content."""
    make_folder(file.parent)
    content = {
        "measured": now(),
        "metrics": {name: item.table() for name, item in results.measurements.items()},
        "scores": {name: _encoded(item.scores) for name, item in results.measurements.items() if item.scores is not None},
        "missing": dict(results.missing),
        "artifacts": dict(results.artifacts),
    }
    write_json(file, {**content, "sha256": digest(content)})


def write_scores(path: Path, measurements: Mapping[str, Measurement]) -> None:
    """Write the values of single images as a NumPy archive: float32 [n] for each number that is their mean; raises Unwritable."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: _float32(item.scores) for name, item in measurements.items() if item.scores is not None}
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_scores(path: Path) -> dict[str, Tensor]:
    """Return the values of single images by the name of the number; raises OSError or ValueError."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def _encoded(scores: Tensor) -> str:
    return base64.b64encode(_float32(scores).tobytes()).decode()


def _decoded(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f4").copy())


def _float32(scores: Tensor) -> NDArray[np.float32]:
    return scores.cpu().numpy().astype("<f4")


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON content, independent of the order of its keys."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

"""Results of metrics stored in a run folder, each in a file whose name is a digest of everything that they depend on."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from simulacra.core.files import write_json
from simulacra.images.files import make_folder
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs import own_families
from simulacra.runs.provenance import now

_VERSION = 3  # increased when a metric changes, so that results of older versions are not used
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
        measurements = {name: Measurement.of(item) for name, item in content["metrics"].items()}
        return MetricResults(measurements, content["missing"], content["artifacts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_results(file: Path, results: MetricResults) -> None:
    """Store results with a digest of the file's own content."""
    make_folder(file.parent)
    content = {
        "measured": now(),
        "metrics": {name: item.table() for name, item in results.measurements.items()},
        "missing": dict(results.missing),
        "artifacts": dict(results.artifacts),
    }
    write_json(file, {**content, "sha256": digest(content)})


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON content, independent of the order of its keys."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

"""The newest evaluation on test images as a page shows it: numbers with their meanings, errors, and what real images reach."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulacra.metrics.catalogue import CATALOGUE, Better, entry
from simulacra.metrics.measurement import Measurement
from simulacra.runs.run import Run

_SHARED = ("extractor", "extractor_name", "extractor_seed", "extractor_input", "reference", "generated")  # said once for all
_SHOWN_APART = ("real_against_real", "same_law", "few_samples", "extractor_sha256")


@dataclass(frozen=True)
class Number:
    """One metric as text. floor: what real images reach in the place of generated ones; few: why it may be off, if so."""

    name: str
    title: str
    meaning: str
    better: Better
    value: str
    error: str
    floor: str
    few: str
    n: int
    protocol: str


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` stored. features: how what is measured in features was measured; pictures: as in its JSON."""

    checkpoint: int
    weights: str
    numbers: tuple[Number, ...]
    features: str
    missing: Mapping[str, str]
    warnings: tuple[str, ...]
    pictures: Mapping[str, Any]


def newest(run: Run) -> Evaluation | None:
    """Return the newest evaluation of a run on test images that can be read; None if there is none."""
    for path in sorted(run.evaluations.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            content = json.loads(path.read_text())
            if content["data"]["split"] == "test":
                return _evaluation(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


def _evaluation(content: Mapping[str, Any]) -> Evaluation:
    metrics = {name: Measurement.of(item) for name, item in content["metrics"].items()}
    order = sorted(metrics, key=lambda name: list(CATALOGUE).index(name) if name in CATALOGUE else len(CATALOGUE))
    shown = [name for name in order if name != "frechet_floor" or "frechet_distance" not in metrics]
    return Evaluation(
        checkpoint=content["checkpoint"],
        weights=content["weights_sha256"],
        numbers=tuple(_number(name, metrics) for name in shown),
        features=_features(metrics),
        missing=dict(content["not_applicable"]),
        warnings=tuple(content["warnings"]),
        pictures=dict(content["pictures"]),
    )


def _number(name: str, metrics: Mapping[str, Measurement]) -> Number:
    item, about = metrics[name], entry(name)
    value, _, error = item.text.partition(" ")
    facts = {key: fact for key, fact in item.protocol.items() if key not in _SHOWN_APART}
    if "extractor" in facts:
        facts = {key: fact for key, fact in facts.items() if key not in _SHARED}
    few = str(item.protocol.get("few_samples", ""))
    return Number(
        name, about.title, about.meaning, about.better, value, error, _floor(name, metrics), few, item.n, _in_words(facts)
    )


def _floor(name: str, metrics: Mapping[str, Measurement]) -> str:
    """Return what real images reach: measured where it was, else what the metric has by its definition; empty if neither."""
    protocol = metrics[name].protocol
    if name == "frechet_distance" and "frechet_floor" in metrics:
        return metrics["frechet_floor"].text
    for key in ("real_against_real", "same_law"):
        if key in protocol:
            return f"{protocol[key]:.3g}"
    if "of" in protocol and entry(name).better == "larger":
        return str(protocol["of"])
    return entry(name).real


def _features(metrics: Mapping[str, Measurement]) -> str:
    protocol = next((item.protocol for item in metrics.values() if "extractor" in item.protocol), {})
    return _in_words({key: protocol[key] for key in _SHARED if key in protocol})


def _in_words(facts: Mapping[str, Any]) -> str:
    return "; ".join(f"{key.replace('_', ' ')}: {_shown(value)}" for key, value in facts.items())


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

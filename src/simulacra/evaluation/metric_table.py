"""The newest evaluation of a run as tables and pages show it: numbers with meaning, error, and the value of real images."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simulacra.metrics import conditions, in_table_order, quantity
from simulacra.metrics.metric import Better
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.label_shares import CLASS_SHARES
from simulacra.runs.run import Run

_FEATURES = (
    "extractor",
    "extractor_name",
    "extractor_seed",
    "extractor_input",
    "reference",
    "generated",
    CLASS_SHARES,
)  # displayed once
DETAILS = frozenset(
    {"psnr_db", "rate_nats", "distortion_nats", "frechet_floor", "frechet_ratio", "kernel_distance", "density", "class_kl"}
)
"""Numbers that explain others, or measure the same in another way: left out of a short table."""

_SHOWN_SEPARATELY = ("real_against_real", "expected_for_equal_distributions", "few_samples", "extractor_sha256")


@dataclass(frozen=True)
class Number:
    """One number as text.

    floor: the value of real images in place of generated ones; few: the consequence of a sample that is too small, if it is.
    """

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
    """A stored evaluation.

    features: the protocol of the numbers in feature space; missing: reasons by the name of a metric or number; summary: the three
    sentences of `evaluation/summary.py`; artifacts: data of report sections by the name of the metric.
    """

    checkpoint: int
    weights: str
    numbers: tuple[Number, ...]
    features: str
    missing: Mapping[str, str]
    summary: tuple[str, ...]
    warnings: tuple[str, ...]
    artifacts: Mapping[str, Any]
    measurements: Mapping[str, Measurement]


def newest(run: Run) -> Evaluation | None:
    """Return the newest readable evaluation of a run on test images; None if there is none."""
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
    shown = [name for name in in_table_order(metrics) if name != "frechet_floor" or "frechet_distance" not in metrics]
    return Evaluation(
        checkpoint=content["checkpoint"],
        weights=content["weights_sha256"],
        numbers=tuple(_number(name, metrics) for name in shown),
        features=_in_words(_of_features(item.protocol for item in metrics.values())),
        missing=dict(content["not_applicable"]),
        summary=tuple(content.get("summary", ())),
        warnings=tuple(content["warnings"]),
        artifacts=dict(content["artifacts"]),
        measurements=metrics,
    )


def _number(name: str, metrics: Mapping[str, Measurement]) -> Number:
    item, about = metrics[name], quantity(name)
    value, _, error = item.text.partition(" ")
    facts = {key: fact for key, fact in item.protocol.items() if key not in _SHOWN_SEPARATELY}
    if "extractor" in facts:
        facts = {key: fact for key, fact in facts.items() if key not in _FEATURES}
    own = (value, error, of_real_images(name, metrics), str(item.protocol.get("few_samples", "")), item.n, _in_words(facts))
    return Number(name, about.title, about.meaning, about.better, *own)


def of_real_images(name: str, metrics: Mapping[str, Measurement]) -> str:
    """Return the value of real images as text: measured, else by the definition of the metric; empty if neither is known."""
    protocol = metrics[name].protocol
    if name == "frechet_distance" and "frechet_floor" in metrics:
        return metrics["frechet_floor"].text
    for value in (real_against_real(protocol), protocol.get("expected_for_equal_distributions")):
        if value is not None:
            return f"{value:.3g}"
    if "of" in protocol and quantity(name).better == "larger":
        return str(protocol["of"])
    return quantity(name).real


def real_against_real(protocol: Mapping[str, Any]) -> float | None:
    """Return the measured value of real images, that of all attributes together where there are several; None where unknown.

    >>> real_against_real({"real_against_real": {"digit": 0.99, "hue": 1.0, "all": 0.99}})
    0.99
    """
    found = protocol.get("real_against_real")
    value: float | None = found["all"] if isinstance(found, Mapping) else found
    return value


def _in_words(facts: Mapping[str, Any]) -> str:
    return "; ".join(f"{key.replace('_', ' ')}: {_shown(value)}" for key, value in facts.items())


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _of_features(protocols: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts that all numbers in feature space share; empty where there is no such number."""
    found = next((protocol for protocol in protocols if "extractor" in protocol), {})
    return {key: found[key] for key in _FEATURES if key in found}


# --- protocols as lines of text


def protocol_lines(metrics: Mapping[str, Any], title: Callable[[str], str] = str) -> list[str]:
    """Return one line per protocol, after the titles of the numbers that share it; that of all numbers in feature space first.

    metrics: numbers by name, as in JSON, each with its `protocol`.
    """
    facts = {name: conditions(name, item["protocol"]) for name, item in metrics.items()}
    common = _of_features(facts.values())
    shared = {key: value for key, value in common.items() if key not in ("extractor_name", "extractor_seed")}
    lines = [f"features: {_as_list(shared)}"] if shared else []
    groups: dict[str, list[str]] = {}
    for name, own in facts.items():
        rest = {key: value for key, value in own.items() if key not in shared and not key.startswith("extractor")}
        groups.setdefault(_as_list(rest), []).append(title(name))
    return lines + [f"{', '.join(names)}: {words}" for words, names in groups.items() if words]


def _as_list(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items())

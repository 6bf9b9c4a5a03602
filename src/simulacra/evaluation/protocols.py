"""How numbers were measured, in words, those alike together."""

from collections.abc import Callable, Mapping
from typing import Any

from simulacra.metrics.catalogue import settings_of

_OF_FEATURES = ("extractor", "extractor_input", "reference", "generated")  # the protocol of everything measured in features


def protocols(metrics: Mapping[str, Any], title: Callable[[str], str] = str) -> list[str]:
    """Return a line for each way of measuring, after the titles of its metrics; what all numbers in features share stands first.

    metrics: each with its `protocol`, by name, as in JSON.
    """
    facts = {name: settings_of(item["protocol"]) for name, item in metrics.items()}
    common = next((own for own in facts.values() if "extractor" in own), {})
    shared = {key: common[key] for key in _OF_FEATURES if key in common}
    lines = [f"features: {_words(shared)}"] if shared else []
    groups: dict[str, list[str]] = {}
    for name, own in facts.items():
        rest = {key: value for key, value in own.items() if key not in shared and not key.startswith("extractor")}
        groups.setdefault(_words(rest), []).append(title(name))
    return lines + [f"{', '.join(names)}: {words}" for words, names in groups.items() if words]


def _words(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items())

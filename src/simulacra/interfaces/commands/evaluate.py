"""Measure a trained model on all test images: likelihood, reconstruction, latents, fidelity, diversity, memorization.

The metrics depend on the capabilities of the model. Every value has its error over images, its sample count and its protocol.
Fidelity compares generated with real images in the features of a network that the toolkit trains itself, once for each data
set ('simulacra extractor --help'). Results are stored in RUN/evaluation and cached.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from simulacra.interfaces.arguments import MachineConfig, Parser, add_settings, examples, given, machine
from simulacra.interfaces.command import add_run, inapplicable_flags
from simulacra.interfaces.console import Console
from simulacra.interfaces.tables import table
from simulacra.metrics.settings import EvaluateConfig

EXAMPLES = examples(
    "simulacra evaluate runs/first",
    "simulacra evaluate runs/first --particles 500",
    "simulacra evaluate runs/first --split validation            # to choose settings",
    "simulacra evaluate runs/first --samples 0                   # no fidelity: needs no extractor",
    "simulacra evaluate runs/photos --extractor resnet18:cifar10-jpeg",
    "simulacra evaluate runs/first --json > metrics.json",
)
POSITION = ("measure", 1)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags; in the help of a given run only those that apply to its model."""
    add_run(parser)
    hidden: frozenset[str] = frozenset()
    if {"-h", "--help"} & set(words):
        from simulacra.evaluation.applicable_settings import SETTING_NEEDS

        hidden = inapplicable_flags(words, SETTING_NEEDS)
    add_settings(parser, "evaluation", EvaluateConfig, without=hidden)
    add_settings(parser, "machine", MachineConfig)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Evaluate."""
    from simulacra.evaluation.applicable_settings import SETTING_NEEDS
    from simulacra.evaluation.evaluate import evaluate
    from simulacra.runs.applicable import require_applicable
    from simulacra.runs.opened import open_run

    flags = given(parsed, EvaluateConfig)
    settings = EvaluateConfig.of(flags, "the flags")
    opened = open_run(parsed.run, progress=console, device=machine(parsed).device)
    require_applicable(opened.model, flags, SETTING_NEEDS)
    result = evaluate(opened, settings, console)
    console.result(result, lambda: _text(result))
    return 0


def _text(result: dict[str, Any]) -> str:
    from simulacra.evaluation.protocols import protocols

    data = result["data"]
    title = f"{result['family']} at step {result['checkpoint']:,} on the {data['n']:,} {data['split']} images of {data['name']}"
    rows = [(name, number(item), f"{item['n']:,}", _note(item)) for name, item in result["metrics"].items()]
    missing = [f"not measured: {name}: {reason}" for name, reason in result["not_applicable"].items()]
    warnings = [f"warning: {sentence}" for sentence in result["warnings"]]
    return "\n".join(
        [
            title,
            "",
            table(("metric", "value", "n", ""), rows),
            "",
            *protocols(result["metrics"]),
            *_few(result["metrics"]),
            *missing,
            *warnings,
        ]
    )


def number(item: Mapping[str, Any]) -> str:
    """Return a metric's value with its error or interval, as `Measurement.text`, in ASCII."""
    from simulacra.metrics.measurement import Measurement

    return Measurement.of(item).text.replace("±", "+-")


def _note(item: Mapping[str, Any]) -> str:
    """Return notes on a value: few samples, and what real images or a perfect model reach."""
    protocol = item["protocol"]
    notes = ["few samples, see below"] if "few_samples" in protocol else []
    if "real_against_real" in protocol:
        notes.append(f"real images reach {protocol['real_against_real']:.4g}")
    elif "same_law" in protocol:
        notes.append(f"a perfect model reaches {protocol['same_law']:.4g}")
    return "; ".join(notes)


def _few(metrics: Mapping[str, Any]) -> list[str]:
    """Return the warnings of too few samples, for each metric that has one."""
    counts = {name: item["protocol"].get("few_samples") for name, item in metrics.items()}
    return [f"few samples: {name}: {words}" for name, words in counts.items() if words]

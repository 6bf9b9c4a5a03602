"""Measure a trained model on all test images: likelihood, reconstruction, latents, fidelity, diversity, memorization.

The metrics depend on the capabilities of the model. Every value has its error over images, its sample count and its protocol.
Fidelity compares generated with real images in the features of a network that the toolkit trains itself, once for each data
set ('simulacra extractor --help'): the Fréchet distance (FD) and the kernel distance are those of FID and KID in other features.
Results are stored in RUN/evaluation and cached.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from simulacra.interfaces.arguments import Parser, add_settings, examples, given
from simulacra.interfaces.command import add_run, inapplicable_flags, opened_run
from simulacra.interfaces.console import Console
from simulacra.interfaces.tables import table

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
    from simulacra.evaluation.settings import evaluate_config, setting_needs

    hidden = inapplicable_flags(words, setting_needs())
    add_settings(parser, "evaluation", evaluate_config(), without=hidden)
    add_run(parser)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Evaluate."""
    from simulacra.evaluation.evaluate import evaluate
    from simulacra.evaluation.settings import evaluate_config, evaluation_settings, setting_needs
    from simulacra.runs.applicable import require_applicable

    flags = given(parsed, evaluate_config())
    settings = evaluation_settings(flags, "the flags")
    opened = opened_run(parsed, console)
    require_applicable(opened.model, flags, setting_needs())
    result = evaluate(opened, settings, console)
    console.result(result, lambda: text(result))
    return 0


def text(result: dict[str, Any]) -> str:
    """Return the result of `evaluate` as lines for the terminal."""
    from simulacra.evaluation.metric_table import protocol_lines
    from simulacra.metrics.statistics.measurement import Measurement

    data = result["data"]
    title = f"{result['family']} at step {result['checkpoint']:,} on the {data['n']:,} {data['split']} images of {data['name']}"
    values = {name: Measurement.of(item).text.replace("±", "+-") for name, item in result["metrics"].items()}
    rows = [(name, values[name], f"{item['n']:,}", _note(item)) for name, item in result["metrics"].items()]
    reasons: dict[str, list[str]] = {}
    for name, reason in result["not_applicable"].items():
        reasons.setdefault(reason, []).append(name)
    missing = [f"not measured: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    warnings = [f"warning: {sentence}" for sentence in result["warnings"]]
    few = {name: item["protocol"].get("few_samples") for name, item in result["metrics"].items()}
    notes = [*protocol_lines(result["metrics"]), *(f"few samples: {name}: {words}" for name, words in few.items() if words)]
    return "\n".join([title, "", table(("metric", "value", "n", ""), rows), "", *notes, *missing, *warnings])


def _note(item: Mapping[str, Any]) -> str:
    """Return notes on a value: few samples, and what real images or a perfect model reach."""
    from simulacra.evaluation.metric_table import real_against_real

    protocol = item["protocol"]
    notes = ["few samples, see below"] if "few_samples" in protocol else []
    if (real := real_against_real(protocol)) is not None:
        notes.append(f"real images reach {real:.4g}")
    elif "expected_for_equal_distributions" in protocol:
        notes.append(f"expected for equal distributions: {protocol['expected_for_equal_distributions']:.4g}")
    return "; ".join(notes)

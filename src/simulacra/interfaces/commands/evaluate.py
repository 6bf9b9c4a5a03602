"""Measure a trained model on the full test set: ELBO, likelihood, reconstruction error, active units.

Every number comes with its standard error over images, its sample count and its protocol, and is kept in RUN/evaluation.
"""

import argparse
from pathlib import Path
from typing import Any

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console
from simulacra.interfaces.tables import table

EXAMPLES = examples(
    "simulacra evaluate runs/first",
    "simulacra evaluate runs/first --particles 500",
    "simulacra evaluate runs/first --json > numbers.json",
)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "--particles", type=int, default=50, metavar="K", help="importance samples per image for the likelihood (default: 50)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of what the evaluation draws (default: 0)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Evaluate."""
    from simulacra.core.errors import UsageError
    from simulacra.tasks.trained import open_run

    if parsed.particles < 1:
        raise UsageError(f"particles is {parsed.particles}, expected at least 1")
    result = open_run(parsed.run).evaluate(parsed.particles, parsed.seed, console)
    console.result(result, lambda: _text(result))
    return 0


def _text(result: dict[str, Any]) -> str:
    data = result["data"]
    title = f"{result['family']} at step {result['checkpoint']:,} on the {data['n']:,} test images of {data['name']}"
    rows: list[tuple[str, ...]] = []
    shown = ""
    for name, item in result["metrics"].items():
        protocol = _protocol(item["protocol"])
        rows.append((name, _number(item), f"{item['n']:,}", "as above" if protocol == shown else protocol))
        shown = protocol
    missing = [f"not applicable: {name} ({reason})" for name, reason in result["not_applicable"].items()]
    return "\n".join([title, "", table(("metric", "value", "n", "protocol"), rows), *missing])


def _number(item: dict[str, Any]) -> str:
    if "interval" in item:
        low, high = item["interval"]
        return f"{item['value']:.5g} ({low:.5g} to {high:.5g})"
    error = item["standard_error"]
    return f"{item['value']:.5g}" if error is None else f"{item['value']:.5g} +- {error:.2g}"


def _protocol(protocol: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in protocol.items())

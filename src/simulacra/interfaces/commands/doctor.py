"""Examine this machine: processor, threads, GPU, measured speed, what is switched on and why not."""

import argparse
from typing import Any

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console
from simulacra.interfaces.tables import table

EXAMPLES = examples("simulacra doctor", "simulacra doctor --json")


def arguments(parser: Parser, words: list[str]) -> None:
    """There are no flags."""


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Examine."""
    from simulacra.tasks.doctor import examine

    facts = examine()
    console.result(facts, lambda: _text(facts))
    return 0


def _text(facts: dict[str, Any]) -> str:
    rates = [(f"matrix product, {kind}", f"{rate:,.0f} GFLOP/s") for kind, rate in facts["matmul_gflops"].items()]
    rows = [
        *((name, str(value)) for name, value in facts["hardware"].items()),
        ("torch", facts["torch"]),
        ("device", facts["device"]),
        *rates,
        *facts["accelerations"].items(),
    ]
    return table(("fact", "value"), rows)

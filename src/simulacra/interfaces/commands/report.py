"""Write everything about a run into one HTML file, RUN/report.html, that needs nothing else."""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra report runs/first")


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Report."""
    from simulacra.runs.opened import open_run

    path = open_run(parsed.run, progress=console).report(console)
    console.result({"path": str(path)}, lambda: f"report: {path}")
    return 0

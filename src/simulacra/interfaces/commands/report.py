"""Write a report of a run: one self-contained HTML file, RUN/report.html."""

import argparse

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.command import add_run, opened_run
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra report runs/first")
POSITION = ("measure", 3)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    add_run(parser)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Write the report."""
    from simulacra.reports.run_page import write_report

    path = write_report(opened_run(parsed, console), console)
    console.result({"path": str(path)}, lambda: f"report: {path}")
    return 0

"""Write a report of a run: one self-contained HTML file, RUN/report.html."""

import argparse

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.command import add_run, opened_run
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

EXAMPLES = examples("simulacra report runs/first")
POSITION = ("measure", 3)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    add_run(parser)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Write the report."""
    from simulacra.evaluation.metric_table import newest
    from simulacra.reports.run_page import write_report

    opened = opened_run(parsed, console)
    path = write_report(opened, console)
    following = "compare {run} OTHER_RUN" if newest(opened.run) else "evaluate {run}"
    console.result({"path": str(path)}, lambda: ending([f"report: {path}"], following, run=opened.run.path))
    return 0

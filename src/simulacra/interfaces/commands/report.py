"""Write a report of a run: one self-contained HTML file, RUN/report.html."""

import argparse

from simulacra.interfaces.arguments import MachineConfig, Parser, add_settings, examples, machine
from simulacra.interfaces.command import add_run
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra report runs/first")
POSITION = ("measure", 3)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    add_run(parser)
    add_settings(parser, "machine", MachineConfig)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Write the report."""
    from simulacra.reports.run_page import write_report
    from simulacra.runs.opened import open_run

    path = write_report(open_run(parsed.run, progress=console, device=machine(parsed).device), console)
    console.result({"path": str(path)}, lambda: f"report: {path}")
    return 0

"""Continue an interrupted run, bit for bit, from its newest whole checkpoint.

--for gives the run a new length, so that a finished run can be trained further.
"""

import argparse
from pathlib import Path

from simulacra.engine.duration import FORMS
from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.commands.train import finish
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra resume runs/first", "simulacra resume runs/first --for 40ep")


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--for", dest="duration", default="", metavar="TEXT", help=f"a new total length, {FORMS}")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Resume."""
    from simulacra.tasks.train import resume

    return finish(resume(parsed.run, parsed.duration, progress=console), console)

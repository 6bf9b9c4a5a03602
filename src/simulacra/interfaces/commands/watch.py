"""Display the progress of a run that another process trains, until it ends. Only the run folder is read.

With --json the current status is printed once.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from simulacra.interfaces.arguments import Parser, add_family_file, examples
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

if TYPE_CHECKING:
    from simulacra.training.watch import RunStatus

EXAMPLES = examples("simulacra watch runs/first", "simulacra watch runs/first --every 10", "simulacra watch runs/first --json")
POSITION = ("train", 3)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    add_family_file(parser)
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="seconds between updates (default: 2)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Watch."""
    from simulacra.core.errors import UsageError
    from simulacra.runs.run import Run
    from simulacra.training.watch import run_status, watch

    if not parsed.every > 0:
        raise UsageError(f"every is {parsed.every}, expected more than 0 seconds")
    opened = Run.open(parsed.run)
    if console.as_json:
        console.result(asdict(run_status(opened)), lambda: "")
        return 0
    warned: set[str] = set()
    last = watch(opened, parsed.every, lambda now: _show(now, warned))
    if sys.stdout.isatty():
        print()
    following = ("evaluate {run}", "report {run}") if last.state == "finished" else ("resume {run}",)
    print(ending([], *following, run=parsed.run))
    return 0 if last.state == "finished" else 1


def _show(now: "RunStatus", warned: set[str]) -> None:
    """Display a status: in place on a terminal, otherwise as lines; and each training warning once, over the status line."""
    width = get_terminal_size().columns - 1 if sys.stdout.isatty() else 0
    for warning in now.training_warnings:
        if warning.name not in warned:
            warned.add(warning.name)
            print(("\r" if width else "") + f"warning: {warning.message}".ljust(width), flush=True)
    if width:
        print("\r" + _line(now)[:width].ljust(width), end="", flush=True)
    else:
        print(_line(now), flush=True)


def _line(now: "RunStatus") -> str:
    done = "" if now.share is None else f" {100 * now.share:.0f} %,"
    seconds = now.seconds * (1 - now.share) / now.share if now.share else 0.0
    left = f", about {seconds:,.0f} s left" if now.share and now.state == "training" else ""
    totals = {name: value for name, value in now.losses.items() if name.endswith("/loss")}
    losses = ", ".join(f"{name} {value:.4g}" for name, value in (totals | now.diversity | now.losses).items())
    speed = f", {now.images_per_second:,.0f} images/s" if now.images_per_second else ""
    return f"{now.state}:{done} step {now.step:,}, {now.epochs:.2f} epochs{speed}{left}" + (f"; {losses}" if losses else "")

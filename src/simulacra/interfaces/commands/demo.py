"""Train a small VAE on scanned digits in under a minute, then sample, reconstruct, interpolate, evaluate and report.

It needs no network: the digits come with scikit-learn.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from simulacra.core.home import expand_home
from simulacra.interfaces.arguments import MachineConfig, Parser, add_settings, examples, given
from simulacra.interfaces.command import ApplicationCommand, Command
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

EXAMPLES = examples("simulacra demo", "simulacra demo --out runs/demo-2 --for 30s")
POSITION = ("start", 1)

_TRAINING = {"duration": "40s", "batch": 64, "lr": 3e-3}
_RECIPE = {"family": "vae", "data": {"data": "digits"}, "model": {"latent_dim": 8}, "train": _TRAINING}
_APPLICATIONS = ("sample", "reconstruct", "interpolate")


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("--out", type=expand_home, metavar="RUN", help="the new run folder (default: runs/vae-digits-N)")
    parser.add_argument("--for", dest="duration", metavar="TEXT", help="duration of the training (default: 40s)")
    add_settings(parser, "machine", MachineConfig)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Train a model and run the main commands on it."""
    from simulacra.interfaces.commands import evaluate, report
    from simulacra.interfaces.commands.train import finish
    from simulacra.runs.settings import resolve
    from simulacra.training.train import default_folder, train

    machine = given(parsed, MachineConfig)
    config = resolve(_RECIPE, machine | ({"duration": parsed.duration} if parsed.duration else {}))
    outcome = train(config, parsed.out or default_folder(config), progress=console)
    if not outcome.finished:
        return finish(outcome, console)
    path = outcome.run.path
    words = [str(path), *(f"--{name}={value}" for name, value in machine.items())]
    commands: list[Command] = [*map(ApplicationCommand, _APPLICATIONS), evaluate, report]
    for command in commands:
        parser = Parser(prog="simulacra")
        command.arguments(parser, words)
        command.run(parser.parse(words), _WithoutResults())
    files = {name: f"{path}/images/{name}.png" for name in ("samples", "reconstructions", "interpolations")}
    files |= {"training": str(outcome.run.samples), "report": str(outcome.run.report)}
    console.result({**outcome.table(), "files": files}, lambda: _text(path))
    return 0


class _WithoutResults(Console):
    """A console that prints no results."""

    def result(self, content: object, text: Callable[[], str]) -> None:
        """Do nothing."""


def _text(path: Path) -> str:
    made = [
        f"report with all images, curves and metrics: {path}/report.html",
        f"samples, reconstructions and interpolations: {path}/images",
    ]
    return ending(made, "traverse {run}", "train vae --data FOLDER_OF_YOUR_IMAGES --for 10min", run=path)

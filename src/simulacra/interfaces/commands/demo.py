"""Train a small VAE on scanned digits in under a minute, then sample, reconstruct, interpolate, evaluate and report.

It needs no network: the digits are those that scikit-learn carries.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console, program

EXAMPLES = examples("simulacra demo", "simulacra demo --out runs/demo-2 --for 30s")

_RECIPE = {
    "family": "vae",
    "data": {"data": "digits"},
    "model": {"latent_dim": 8},
    "train": {"duration": "40s", "batch": 64, "lr": 3e-3},
}


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("--out", type=Path, metavar="RUN", help="the run folder to make (default: runs/vae-digits-N)")
    parser.add_argument("--for", dest="duration", metavar="TEXT", help="how long to train (default: 40s)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Train a model and do all that one does with it."""
    from simulacra.interfaces.commands import evaluate, interpolate, reconstruct, report, sample
    from simulacra.interfaces.commands.train import finish
    from simulacra.runs.settings import resolve
    from simulacra.training.train import default_folder, train

    config = resolve(_RECIPE, {"duration": parsed.duration} if parsed.duration else {})
    outcome = train(config, parsed.out or default_folder(config), progress=console)
    if not outcome.finished:
        return finish(outcome, console)
    path = outcome.run.path
    quiet = Console()
    for command in (sample, reconstruct, interpolate, evaluate, report):
        parser = Parser(prog="simulacra")
        command.arguments(parser, [])
        command.run(parser.parse([str(path)]), quiet if not console.as_json else _Mute())
    files = {name: str(path / place) for name, place in _PLACES.items()}
    console.result({**outcome.table(), "files": files}, lambda: _text(path))
    return 0


_PLACES = {
    "samples": "pictures/samples.png",
    "reconstructions": "pictures/reconstructions.png",
    "interpolations": "pictures/interpolations.png",
    "training": "samples",
    "report": "report.html",
}


class _Mute(Console):
    """A console whose results nobody sees."""

    def result(self, content: object, text: object) -> None:
        """Say nothing."""


def _text(path: Path) -> str:
    return f"""
That was a VAE, start to end. Look at:
  {path}/pictures/samples.png           digits that nobody wrote: decoded from noise
  {path}/pictures/reconstructions.png   test images, each row above what the model makes of it
  {path}/pictures/interpolations.png    the way from one digit to another through the latent space
  {path}/samples/                       how the samples improved during training
  {path}/report.html                    all of it on one page, with curves and numbers

Try next:
  {program()} traverse {path}
  {program()} train vae --recipe recipes/vae-mnist.toml --out runs/mnist
  {program()} train autoencoder --data FOLDER_OF_YOUR_IMAGES --size 64 --for 10min
  {program()} models"""

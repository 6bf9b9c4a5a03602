"""Continue an interrupted run, bit for bit, from its newest whole checkpoint.

--for sets a new length, so that a finished run can be trained further. The learning rate, the batch size and some other settings
can be changed for the rest of the training; the changes are recorded in the run. A run may continue on another device, with
another number of threads or, by torchrun, of processes; the result is then equivalent, but not bit for bit the same.
"""

import argparse
from pathlib import Path

from simulacra.data.settings import PlacesConfig
from simulacra.engine.duration import FORMS
from simulacra.engine.settings import OF_THE_MACHINE, OF_THE_REST, TrainConfig
from simulacra.interfaces.arguments import Parser, add_family_file, add_settings, examples, given
from simulacra.interfaces.commands.train import finish
from simulacra.interfaces.display.console import Console

EXAMPLES = examples(
    "simulacra resume runs/first",
    "simulacra resume runs/first --for 40ep",
    "simulacra resume runs/photos --data /new/place/of/photos",
    "simulacra resume runs/first --for 40ep --lr 1e-4 --batch 256",
)
POSITION = ("train", 2)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    add_family_file(parser)
    parser.add_argument("--for", dest="duration", default="", metavar="TEXT", help=f"a new total length, {FORMS}")
    add_settings(parser, "moved data", PlacesConfig)
    add_settings(parser, "training, from here on", TrainConfig, dict.fromkeys(OF_THE_REST, "as before"), OF_THE_REST)
    add_settings(parser, "machine", TrainConfig, dict.fromkeys(OF_THE_MACHINE, "as before"), OF_THE_MACHINE)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Resume."""
    from simulacra.training.train import resume

    changes = {name: value for name, value in given(parsed, TrainConfig).items() if name != "duration"}
    places = PlacesConfig.of(given(parsed, PlacesConfig), "the flags")
    return finish(resume(parsed.run, parsed.duration, changes, places=places, progress=console), console)

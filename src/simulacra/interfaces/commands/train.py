"""Train a model into a new run folder.

FAMILY is one of those that 'simulacra models' lists, or of --family-file. Settings are taken from the family, then --preset, then
--recipe, then flags; the last wins. For images of your own and without --recipe, settings that are not given are chosen by the
images and the device, and printed. 'simulacra train FAMILY --help' lists the flags of the family too, 'simulacra explain NAME'
explains a flag, a family or a warning. Ctrl-C saves a checkpoint and stops.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulacra import families
from simulacra.core.config import options
from simulacra.core.errors import UsageError
from simulacra.core.home import expand_home
from simulacra.data.settings import DataConfig, DomainsConfig, settings_of
from simulacra.engine.settings import TrainConfig
from simulacra.interfaces.arguments import Parser, add_family_file, add_settings, examples, given, load_family_files
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

if TYPE_CHECKING:
    from simulacra.training.train import Outcome

EXAMPLES = examples(
    "simulacra train vae --data digits --for 200ep --out runs/first",
    "simulacra train vae --recipe recipes/vae-mnist.toml --out runs/vae-mnist",
    "simulacra train autoencoder --data ~/photos",
    "simulacra train cyclegan --data.a ~/summer --data.b ~/winter --size 64 --for 1h",
    "simulacra train duel --family-file duel.py --data digits --for 5min",
)
POSITION = ("train", 1)
FROM_HELP = "a run whose weights the training begins with; model and data are those of that run, unless given"


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags; those of a family where the words name one."""
    parser.usage = "simulacra train FAMILY [--recipe FILE] [--data NAME] [--for DURATION] [--out RUN] [flags]"
    parser.add_argument("family", nargs="?", metavar="FAMILY", help=f"one of: {', '.join(families.names())}")
    add_family_file(parser)
    parser.add_argument(
        "--recipe", type=expand_home, metavar="FILE", help="a TOML file of settings, such as recipes/vae-mnist.toml"
    )
    parser.add_argument("--from", dest="start", type=Path, metavar="RUN", help=FROM_HELP)
    parser.add_argument("--out", type=expand_home, metavar="RUN", help="the new run folder (default: runs/FAMILY-DATA-N)")
    defaults: dict[str, object] = {}
    data: type[DataConfig] | type[DomainsConfig] = DataConfig
    if name := _family_in(words):
        from simulacra.runs.settings import require_sources

        family = families.find(name)
        parser.set_defaults(family=name)
        flags = {word.split("=")[0] for word in words}
        kinds = (DataConfig, DomainsConfig)
        given_names = {setting.name for kind in kinds for setting in options(kind) if f"--{setting.flag}" in flags}
        require_sources(name, family.domains, given_names)
        defaults, data = dict(family.defaults), settings_of(family.domains)
        parser.add_argument("--preset", metavar="NAME", help=f"a named architecture: {', '.join(family.presets) or 'none'}")
        add_settings(parser, f"model ({name})", family.Config)
    add_settings(parser, "data", data)
    add_settings(parser, "training", TrainConfig, defaults)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Train."""
    from simulacra.runs.initial_weights import settings_of_run
    from simulacra.runs.settings import groups, read_recipe, resolve
    from simulacra.training.train import default_folder, train

    recipe = _recipe(parsed, read_recipe)
    overrides: dict[str, object] = {"preset": parsed.preset} if getattr(parsed, "preset", None) else {}
    for kind in groups(families.find(recipe["family"])).values():
        overrides |= given(parsed, kind)
    if parsed.start:
        recipe = settings_of_run(recipe, parsed.start, overrides)
    config = resolve(recipe, overrides, str(parsed.recipe or "the settings"))
    return finish(train(config, parsed.out or default_folder(config), progress=console, start=parsed.start), console)


def finish(outcome: "Outcome", console: Console) -> int:
    """Print the result of a training and the next commands."""
    path = outcome.run.path

    def text() -> str:
        if not outcome.finished:
            return ending([f"stopped and saved at step {outcome.step:,}"], "resume {run}", run=path)
        saved = next((folder for folder in outcome.run.snapshot_folders if any(folder.rglob("*.png"))), None)
        made = [f"done: {outcome.step:,} steps in {outcome.seconds:,.0f} s, saved in {path}"]
        made += [f"images saved during training: {saved}"] if saved else []
        return ending(made, "evaluate {run}", "report {run}", run=path)

    console.result(outcome.table(), text)
    if console.as_json and not outcome.finished:
        console.message(text())
    return 0 if outcome.finished else 1


def _family_in(words: list[str]) -> str:
    """Return the family that the words name, directly, by a recipe, a run or its file; empty if they name none."""
    if words and not words[0].startswith("-"):
        return words[0]
    if path := _value("--recipe", words):
        from simulacra.runs.settings import read_recipe

        return str(read_recipe(Path(path)).get("family", ""))
    if path := _value("--from", words):
        from simulacra.runs.run import Run

        return Run.open(Path(path)).config.family
    if misplaced := set(words) & set(families.names()):
        raise UsageError(f"the family comes first: simulacra train {min(misplaced)} ...")
    return next(iter(load_family_files(words)), "")


def _value(flag: str, words: list[str]) -> str:
    """Return the value of a flag in the words; empty if they do not have it."""
    found = (
        after if word == flag else word.removeprefix(f"{flag}=")
        for word, after in pairwise([*words, ""])
        if word.startswith(flag)
    )
    return next(found, "")


def _recipe(parsed: argparse.Namespace, read_recipe: Any) -> dict[str, Any]:
    if parsed.recipe is parsed.family is parsed.start is None:
        known = ", ".join(families.names())
        raise UsageError(f"no family: name one ({known}), or give --recipe FILE. See 'simulacra train --help'")
    recipe: dict[str, Any] = read_recipe(parsed.recipe) if parsed.recipe else {}
    if parsed.family and recipe.get("family", parsed.family) != parsed.family:
        raise UsageError(f"the recipe {parsed.recipe} is for family {recipe['family']!r}, not for {parsed.family!r}")
    return {**recipe, "family": parsed.family} if parsed.family else recipe

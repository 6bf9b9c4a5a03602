"""Train, list or show feature extractors: networks whose features the metrics of generated images compare.

A feature extractor maps an image to a vector of some hundred features. Distances between sets of images are computed from these
vectors, so that two distances are comparable only if the extractor and the digest of its weights agree. NAME is one of:

  lenet, resnet18        trained on the classes of the data at hand (grey images up to 32 pixels; everything else)
  lenet_colour           the same for colour images up to 32 pixels
  lenet:mnist            trained on another data set, for images without classes
  inception:PATH         the network of the published FID, from a .safetensors file of its weights
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from simulacra.core.errors import UsageError
from simulacra.data.settings import DataConfig
from simulacra.engine.settings import TrainConfig
from simulacra.interfaces.arguments import Parser, Subcommand, add_actions, add_settings, examples, given
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending
from simulacra.interfaces.tables import table

EXAMPLES = examples(
    "simulacra extractor list",
    "simulacra extractor train lenet --data mnist",
    "simulacra extractor train lenet --data mnist --seed 1",
    "simulacra extractor train resnet18 --data cifar10-jpeg --for 2h",
    "simulacra extractor show lenet:mnist",
)

_DATA = ("data", "path", "test_path", "size", "channels", "validation", "limit")
_OWN = dict.fromkeys(("duration", "batch", "lr", "weight_decay"), "that of the extractor")
_TRAINING = ("duration", "batch", "seed", "lr", "weight_decay", "ema", "precision", "device", "threads")
POSITION = ("data", 2)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the actions."""
    actions = {
        "train": Subcommand.of(_train, _train_flags),
        "list": Subcommand.of(_list, lambda child: None),
        "show": Subcommand.of(_show, _show_flags),
    }
    add_actions(parser, words, actions)


def _train_flags(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="an extractor: lenet, resnet18, or lenet:mnist")
    add_settings(parser, "data", DataConfig, only=_DATA)
    add_settings(parser, "training", TrainConfig, _OWN, only=_TRAINING)


def _show_flags(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="an extractor, such as lenet:mnist")
    add_settings(parser, "training", TrainConfig, only=("seed",))


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Run the action."""
    return int(parsed.run(parsed, console))


def _train(parsed: argparse.Namespace, console: Console) -> int:
    """Train an extractor on a data set, once; 'evaluate' does the same when it needs one that does not exist."""
    from simulacra.data.load import load
    from simulacra.features.loading import parse
    from simulacra.features.training import train_extractor, trainable

    kind, source = parse(parsed.name)
    trainable(kind)
    named = {"data": source} if source else {}
    if source and "data" in parsed and parsed.data != source:
        raise UsageError(f"two data sets are named, {source!r} and --data {parsed.data}: name one")
    data = load(DataConfig.of({**given(parsed, DataConfig), **named}, "the flags"), console)
    extractor = train_extractor(kind, data, given(parsed, TrainConfig), console)
    made = f"{extractor.name}: {extractor.network.title}, sha256 {extractor.digest}"
    console.result(dict(extractor.facts), lambda: ending([made], "evaluate RUN", f"extractor show {extractor.name}"))
    return 0


def _list(parsed: argparse.Namespace, console: Console) -> int:
    """List the extractors, and those that are trained in the cache."""
    from simulacra.features import networks as extractors
    from simulacra.features.cache import stored_facts

    kinds = {name: extractors.find(name) for name in extractors.names()}
    stored = stored_facts()
    content = {
        "extractors": {
            name: {"title": kind.title, "features": kind.dimensions, "input": kind.rule(), "summary": kind.summary}
            for name, kind in kinds.items()
        },
        "trained": [{**_brief(facts), "place": str(place)} for place, facts in stored],
    }

    def text() -> str:
        rows = [(name, str(kind.dimensions), kind.rule(), kind.summary) for name, kind in kinds.items()]
        lines = [table(("name", "features", "input", "summary"), rows), ""]
        if not stored:
            return ending([*lines, "no extractor is trained yet"], "extractor train lenet --data mnist")
        titles = ("trained", "seed", "test accuracy", "trained for", "sha256")
        trained = [_row(**_brief(facts)) for _, facts in stored]
        return ending([*lines, table(titles, trained)], f"extractor show {trained[0][0]}")

    console.result(content, text)
    return 0


def _show(parsed: argparse.Namespace, console: Console) -> int:
    """Print the facts of a trained extractor: accuracy, digest of the weights, settings, hardware."""
    from simulacra.features.loading import facts_of

    found = facts_of(parsed.name, getattr(parsed, "seed", None))
    tables = "\n\n".join(table(("fact", "value"), list(_flat(facts))) for facts in found)
    console.result(found, lambda: ending([tables], "extractor list"))
    return 0


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values of nested facts, one row each."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield prefix + name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _brief(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = {"name": facts["name"], "seed": facts["seed"], "test_accuracy": facts["accuracy"].get("test", {}).get("value")}
    return {**names, "duration": facts["settings"]["duration"], "sha256": facts["sha256"]}


def _row(name: str, seed: int, test_accuracy: float | None, duration: str, sha256: str) -> tuple[str, ...]:
    return name, str(seed), "none" if test_accuracy is None else f"{100 * test_accuracy:.2f} %", duration, sha256[:16]

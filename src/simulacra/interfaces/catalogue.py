"""The facts that `simulacra explain` describes: the numbers, settings, families and commands that are installed.

Settings are declared beside their computations, and importing these imports torch, which takes seconds: the facts are kept in the
cache, as the help texts are.
"""

import argparse
from collections.abc import Callable, Iterator

from simulacra import applications, families
from simulacra.core.config import Option
from simulacra.documentation.catalogue import Catalogue, CommandFacts, FamilyFacts, Number, Setting
from simulacra.interfaces import synonyms
from simulacra.interfaces.arguments import Parser, default_text
from simulacra.interfaces.cli import command_parser, names
from simulacra.interfaces.help import cached_text

_WITHOUT = ("--help", "--json")  # flags of every command


def catalogue(announce: Callable[[str], None] = lambda message: None) -> Catalogue:
    """Return the facts, from the cache if no source file of the package has changed; `announce` receives a message otherwise."""

    def collected() -> str:
        announce("collecting the metrics and settings of this version, once")
        return _catalogue().to_json()

    return Catalogue.from_json(cached_text("catalogue", (), collected))


def _catalogue() -> Catalogue:
    own = tuple(_family_facts(name) for name in families.packaged())
    return Catalogue(_numbers(), tuple(dict.fromkeys(_settings())), own, tuple(map(_command, names())), synonyms.FLAGS)


def _numbers() -> tuple[Number, ...]:
    from simulacra import metrics
    from simulacra.runs.applicable import absence

    needs = {item.name: metric for metric in metrics.registered() for item in metric.quantities}

    def phrase(name: str) -> str:
        return " and ".join(absence(need).partition(" no ")[2] for need in needs[name].needs)

    found = metrics.quantities().values()
    return tuple(
        Number(item.name, item.title, item.better, item.meaning, needs[item.name].name, phrase(item.name)) for item in found
    )


def _family_facts(name: str) -> FamilyFacts:
    family = families.find(name)
    return FamilyFacts(name, family.summary, family.paper)


def _command(name: str) -> CommandFacts:
    command, _ = command_parser(name, [])
    lines = tuple(line.strip() for line in command.EXAMPLES.splitlines()[1:])
    return CommandFacts(name, (command.__doc__ or "").strip(), lines)


def _settings() -> Iterator[Setting]:
    """Yield the settings of all commands, those of `train` for each family."""
    for name in names():
        for family in families.packaged() if name == "train" else ("",):
            _, parser = command_parser(name, [family] if family else [])
            yield from _flags(name, family, parser)
            for action, child in parser.subcommands.items():
                yield from _flags(name if action in applications.names() else f"{name} {action}", "", child)


def _flags(command: str, family: str, parser: Parser) -> Iterator[Setting]:
    for action in parser._actions:
        flags = [flag for flag in action.option_strings if flag.startswith("--") and flag not in _WITHOUT]
        if flags and (stated := parser.settings.get(action.dest)):
            title, setting, default = stated
            is_own = title.startswith("model")
            yield Setting(flags[0], command, family, setting.help, default_text(default), _values(setting), is_own)
        elif flags:
            yield Setting(flags[0], command, family, _help(action), "", "")


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _values(setting: Option) -> str:
    """Return the values of a setting in words."""
    if setting.choices:
        return f"one of {', '.join(setting.choices)}"
    if setting.low is None and setting.high is None:
        return {"bool": "on or off", "ints": "whole numbers, separated by commas"}.get(setting.kind, "")
    low, high = (None if bound is None else f"{bound:g}" for bound in (setting.low, setting.high))
    return f"at most {high}" if low is None else f"at least {low}" if high is None else f"from {low} to {high}"

"""What a command is, and the command of an application."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from simulacra.data.settings import PlacesConfig
from simulacra.interfaces.arguments import (
    MachineConfig,
    Parser,
    Subcommand,
    add_actions,
    add_family_file,
    add_settings,
    examples,
    given,
    machine,
)
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

if TYPE_CHECKING:
    from simulacra.applications.application import Action
    from simulacra.runs.applicable import Requirement
    from simulacra.runs.opened import OpenedRun


class Command(Protocol):
    """A module of `commands/`, or an ApplicationCommand. Its docstring is its help.

    POSITION: the group of the overview that lists it, and the order within the group.
    """

    __doc__: str | None
    EXAMPLES: str
    POSITION: tuple[str, int]

    def arguments(self, parser: Parser, words: list[str]) -> None:
        """Add the flags."""

    def run(self, parsed: argparse.Namespace, console: Console) -> int:
        """Run the command; return the exit code."""


class ApplicationCommand:
    """The command `simulacra NAME RUN` of an application: its settings are the flags."""

    POSITION = ("use", 0)

    def __init__(self, name: str) -> None:
        from simulacra import applications

        self.application = applications.find(name)
        self.__doc__ = self.application.description
        self.EXAMPLES = examples(*self.application.examples)

    def arguments(self, parser: Parser, words: list[str]) -> None:
        """Add the flags; in the help of a given run only those that apply to its model."""
        if (only := self.application.only_action) is not None:
            add_action(parser, only, words)
            parser.set_defaults(chosen=only)
        else:
            add_actions(parser, words, {action.name: _subcommand(action, words[1:]) for action in self.application.actions})

    def run(self, parsed: argparse.Namespace, console: Console) -> int:
        """Run the application, or the action of it that is chosen."""
        from simulacra.core.finite import require_finite_weights
        from simulacra.runs.applicable import require_applicable

        action: Action = parsed.chosen
        flags = given(parsed, action.settings)
        settings = action.settings.of(flags, "the flags")
        opened = opened_run(parsed, console)
        self.application.require(opened.model)
        require_applicable(opened.model, flags, action.setting_needs)
        require_finite_weights(opened.model)
        result = action.run(opened, settings, console)
        console.result(result.content, lambda: ending([result.text], *action.following, run=opened.run.path))
        return 0


def add_action(parser: Parser, action: "Action", words: Sequence[str]) -> None:
    """Add the flags of an action of an application; in the help of a given run only those that apply to its model."""
    add_settings(parser, "settings", action.settings, without=inapplicable_flags(words, action.setting_needs))
    add_run(parser)


def _subcommand(action: "Action", words: Sequence[str]) -> Subcommand:
    def add(parser: Parser) -> None:
        add_action(parser, action, words)
        parser.set_defaults(chosen=action)

    return Subcommand(action.description, add)


def add_run(parser: Parser) -> None:
    """Add the argument RUN, the flag for its family, and those of moved data and of the machine."""
    text = "a run folder; with --help: list only flags that apply to its model"
    parser.add_argument("run", type=Path, metavar="RUN", help=text)
    add_family_file(parser)
    add_settings(parser, "moved data", PlacesConfig)
    add_settings(parser, "machine", MachineConfig)


def opened_run(parsed: argparse.Namespace, console: Console) -> "OpenedRun":
    """Open the run that the flags of `add_run` name."""
    from simulacra.runs.opened import OpenedRun
    from simulacra.runs.run import Run

    run = Run.open(parsed.run)
    run.move_data(PlacesConfig.of(given(parsed, PlacesConfig), "the flags"))
    return OpenedRun(run, progress=console, device=machine(parsed).device)


def inapplicable_flags(words: Sequence[str], needs: "Mapping[str, tuple[Requirement, ...]]") -> frozenset[str]:
    """Return the settings that the help of a given run leaves out; none where the words ask for no help or give no run."""
    path = next((word for word in words if not word.startswith("-")), "")
    if not {"-h", "--help"} & set(words) or not path:
        return frozenset()
    from simulacra.core.errors import SimulacraError
    from simulacra.runs.applicable import inapplicable
    from simulacra.runs.run import Run

    try:
        return frozenset(inapplicable(Run.open(path).untrained_family(), needs))
    except SimulacraError:
        return frozenset()

"""What an application is: a command that uses a trained model, with settings, a result, and a section of the run report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulacra.core.condition import AcceptsCondition
from simulacra.core.config import Config
from simulacra.core.errors import NotApplicable
from simulacra.core.pointer import explained_by
from simulacra.core.progress import Progress
from simulacra.images.section import ReportSection
from simulacra.runs.applicable import Requirement, missing
from simulacra.runs.opened import OpenedRun


@dataclass(frozen=True)
class ApplicationResult:
    """What an application computed: plain values for JSON, and a text for the terminal."""

    content: Mapping[str, Any]
    text: str


Run = Callable[[OpenedRun, Any, Progress], ApplicationResult]


@dataclass(frozen=True)
class Action:
    """One action of an application that has several: the subcommand `simulacra APPLICATION NAME RUN`.

    description: its help, whose first line is the summary; settings: its fields become flags; run: computes the result;
    setting_needs: what single settings need, by name; following: the next commands, as in `Application`.
    """

    name: str
    description: str
    settings: type[Config]
    run: Run
    setting_needs: Mapping[str, tuple[Requirement, ...]] = field(default_factory=dict)
    following: tuple[str, ...] = ("report {run}",)


@dataclass(frozen=True)
class Application:
    """One application of trained models: a command with settings, or with several actions that have settings of their own.

    name: the command, which is the name of its file with dashes for underscores; description: the help of the command, whose
    first line is the summary; needs: what a model must have, one of them is enough; settings: its fields become flags; run:
    computes the result; setting_needs: what single settings need, by name; actions: the subcommands, instead of settings and run;
    examples: command lines; section: its part of the run report, None where a run has none; following: the next commands, which
    its output ends with, where {run} is the path of the run.
    """

    name: str
    description: str
    needs: tuple[Requirement, ...]
    settings: type[Config] = Config
    run: Run | None = None
    examples: tuple[str, ...] = ()
    setting_needs: Mapping[str, tuple[Requirement, ...]] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    section: Callable[[OpenedRun], ReportSection | None] | None = None
    following: tuple[str, ...] = ("report {run}",)

    def __post_init__(self) -> None:
        if (self.run is None) == (not self.actions):
            raise TypeError(f"application {self.name} needs either run or actions")

    def applies_to(self, model: AcceptsCondition | type) -> bool:
        """Return whether the application is applicable to a model, or to a class of models."""
        return not missing(model, self.needs)

    def require(self, model: AcceptsCondition) -> None:
        """Raise NotApplicable where the application is not applicable to a model."""
        if reason := missing(model, self.needs):
            raise NotApplicable(
                explained_by(f"{self.name} is not applicable to {type(model).__name__}: {reason}", "capabilities")
            )

    @property
    def only_action(self) -> Action | None:
        """The action of an application without subcommands, None of one that has several."""
        run = self.run
        if run is None:
            return None
        return Action(self.name, self.description, self.settings, run, self.setting_needs, self.following)

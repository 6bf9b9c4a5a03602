"""What an application is: a command that uses a trained model, with settings, a result, and a section of the run report."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulacra.core.condition import AcceptsCondition
from simulacra.core.config import Config
from simulacra.core.errors import NotApplicable
from simulacra.core.progress import Progress
from simulacra.images.section import ReportSection
from simulacra.runs.applicable import Requirement, missing, require_applicable
from simulacra.runs.opened import OpenedRun


@dataclass(frozen=True)
class ApplicationResult:
    """What an application computed: plain values for JSON, and a text for the terminal."""

    content: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class Application:
    """One application of trained models.

    name: the command, and the name of its file; description: the help of the command, whose first line is the summary; settings:
    its fields become flags; needs: what a model must have, one of them is enough; examples: command lines; setting_needs: what
    single settings need, by name; run: computes the result; section: its part of the run report, None where a run has none.
    """

    name: str
    description: str
    settings: type[Config]
    needs: tuple[Requirement, ...]
    run: Callable[[OpenedRun, Any, Progress], ApplicationResult]
    examples: tuple[str, ...] = ()
    setting_needs: Mapping[str, tuple[Requirement, ...]] = field(default_factory=dict)
    section: Callable[[OpenedRun], ReportSection | None] | None = None

    def applies_to(self, model: AcceptsCondition | type) -> bool:
        """Return whether the application is applicable to a model, or to a class of models."""
        return not missing(model, self.needs)

    def require(self, model: AcceptsCondition, given: Collection[str] = ()) -> None:
        """Raise NotApplicable where the application, or one of the settings that are given, is not applicable to a model."""
        if reason := missing(model, self.needs):
            raise NotApplicable(f"{self.name} is not applicable to {type(model).__name__}: {reason}")
        require_applicable(model, given, self.setting_needs)

"""Training as a game: a family defines players and turns, the engine computes gradients and updates."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import AcceptsCondition, Condition
from simulacra.core.config import Config
from simulacra.core.errors import UsageError
from simulacra.core.training_facts import TrainingFacts


@dataclass(frozen=True)
class Loss:
    """The loss of one player: total, a float32 scalar to differentiate; parts, scalars to log, with units in their names."""

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


def named(losses: Mapping[str, Loss]) -> dict[str, Tensor]:
    """Return the total and the parts of every player's loss by `player/part`, the total as `player/loss`, detached."""
    return {
        f"{player}/{part}": value.detach()
        for player, loss in losses.items()
        for part, value in {"loss": loss.total, **loss.parts}.items()
    }


@dataclass(frozen=True)
class Turn:
    """One update of a training step.

    losses: from a batch to the losses of the players to update, all evaluated before any update.
    repeats: number of repetitions in a step, each with a new batch and new noise.
    """

    losses: Callable[[Batch], Mapping[str, Loss]]
    repeats: int = 1


class Family(nn.Module, AcceptsCondition, ABC):
    """Base class of generative models, constructed from settings of its `Config` and a DataSpec.

    A family of the package is one file in `families/`, and named after it; a family of a user is named after its class.
    """

    Config: ClassVar[type[Config]] = Config
    summary: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    defaults: ClassVar[Mapping[str, object]] = {}
    """Training settings that differ from the engine's defaults."""
    domains: ClassVar[tuple[str, ...]] = ()
    """Names of the unpaired sources in a batch; empty for a single source."""
    channels_last: ClassVar[bool] = True
    """Whether the weights of convolutions are stored in channels-last memory format, which is faster. `Tensor.view` often
    fails on their outputs; `reshape` and `flatten` do not."""
    needs_labels: ClassVar[bool] = False
    """Whether models of the family are conditional on labels unless a setting gives another condition, such as captions; images
    without classes are refused."""

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return settings, by name, that suit images of one's own, for those that are not given; `preset` may be one of them."""
        return {}

    @property
    def accepts_unlabelled(self) -> bool:
        """Whether training batches may contain images of unknown label, which is -1."""
        return False

    @abstractmethod
    def players(self) -> dict[str, nn.Module]:
        """Return the players: disjoint modules that together contain every trainable parameter."""

    @abstractmethod
    def turns(self) -> tuple[Turn, ...]:
        """Return the turns of one training step, in order."""


def model_condition(model: AcceptsCondition, batch: Batch) -> Condition:
    """Return the condition of a batch for evaluation: the fields that the model accepts, and those it derives from the images."""
    given = Condition(**{name: getattr(batch.condition, name) for name in model.accepts})
    return model.complete_condition(given, batch.images)


def training_condition(accepts: frozenset[str], batch: Batch) -> Condition:
    """Return the accepted fields of a batch's condition; raises UsageError where one is missing."""
    for name in sorted(accepts):
        if getattr(batch.condition, name) is None:
            what, flag = ("captions", "captions") if name == "tokens" else (name, "conditional")
            raise UsageError(f"the model is conditional on {what}, and these images have none: leave --{flag} out, or add {what}")
    return Condition(**{name: getattr(batch.condition, name) for name in accepts})


FamilyFactory = Callable[[Config, DataSpec], Family]

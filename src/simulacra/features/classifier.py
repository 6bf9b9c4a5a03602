"""Training a classifier: a game of one player, on images that are shifted, and mirrored where that keeps their class."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import Batch
from simulacra.core.config import Config
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.progress import Meter, Progress
from simulacra.data.batches import Batches
from simulacra.data.dataset import Split
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.duration import Duration
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import TrainConfig
from simulacra.features.extractor import Classifier

_SHIFT = 2  # pixels, in either direction
_EPOCHS = 40  # at most by default: a small data set is not repeated without end
_BATCH = 128
_AT_ONCE = 500  # images per call of the network


@dataclass(frozen=True)
class NoSettings(Config):
    """The architecture of a classifier is fixed."""


class Classification(Family):
    """A classifier in training. It is not in `families/`, since it is no model of images."""

    Config: ClassVar[type[Config]] = NoSettings
    summary, paper = "tells the classes of images", ""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def players(self) -> dict[str, nn.Module]:
        """One player: the whole network."""
        return {"classifier": self.network}

    def turns(self) -> tuple[Turn, ...]:
        """One turn: lower the cross-entropy."""
        return (Turn(self._cross_entropy),)

    def _cross_entropy(self, batch: Batch) -> dict[str, Loss]:
        """-log p(label | image) in nats, mean over images; `accuracy` is the share of images that are told right."""
        assert batch.labels is not None
        logits = self.network(augment(self.network.adapt(batch.images), self.network.mirrors)).float()
        right = (logits.argmax(1) == batch.labels).float().mean()
        return {"classifier": Loss(F.cross_entropy(logits, batch.labels), {"accuracy": right})}


def augment(images: Tensor, mirror: bool) -> Tensor:
    """Return images [b c h w] moved by -2..2 pixels each way, edges repeated, and mirrored or not; drawn for each image."""
    count, _, height, width = images.shape
    padded = F.pad(images, (_SHIFT,) * 4, mode="replicate")
    tops, lefts = torch.randint(0, 2 * _SHIFT + 1, (2, count, 1), device=images.device)
    rows = tops + torch.arange(height, device=images.device)
    columns = lefts + torch.arange(width, device=images.device)
    if mirror:
        mirrored = torch.rand(count, 1, device=images.device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    each = torch.arange(count, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def recipe(kind: type[Classifier], count: int, overrides: Mapping[str, object]) -> TrainConfig:
    """Return the settings with which a classifier is trained on `count` images, unless overridden."""
    images = min(kind.images, _EPOCHS * count)
    usual = {"duration": f"{images / 1000:g}k", "batch": max(1, min(_BATCH, count)), **kind.defaults}
    return TrainConfig.of({**usual, **overrides}, "the settings of the classifier")


def in_training(kind: type[Classifier], images: Split, classes: int, settings: TrainConfig) -> Trainer:
    """Return a trainer of a new classifier on labelled images; weights are drawn from torch's global generator.

    Raises UsageError for a batch of one image, which batch normalization cannot learn from.
    """
    if settings.batch < 2:
        raise UsageError(f"batch is {settings.batch} for {len(images)} images, expected at least 2: use more images")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Trainer(Classification(kind(classes)), Batches(images, settings.batch, settings.seed), settings)


def meter_of(trainer: Trainer, label: str, progress: Progress) -> AbstractContextManager[Meter]:
    """Open the progress bar of a training: over its steps, or over the seconds where it is for a time."""
    if trainer.total is not None:
        return progress.task(label, trainer.total, "steps", trainer.step)
    seconds = round(Duration.parse(trainer.settings.duration).amount)
    return progress.task(label, seconds, "seconds", min(seconds, int(trainer.seconds)))


def trained(trainer: Trainer) -> Classifier:
    """Return the classifier to evaluate: with averaged weights where an average is kept."""
    family = trainer.evaluated
    assert isinstance(family, Classification)
    return family.network


def told_right(network: Classifier, images: Split, meter: Meter) -> Tensor:
    """Return for each image of a labelled split whether the network tells its class: bool [n]."""
    device = next(network.parameters()).device
    right = []
    with inference(network):
        for batch in images.chunks(_AT_ONCE):
            assert batch.labels is not None
            predictions = network(network.adapt(batch.images.to(device))).argmax(1)
            right.append(predictions.cpu() == batch.labels)
            meter.advance(len(batch))
    return torch.cat(right)


class Watch:
    """Moves the progress bar of a training, shows the accuracy on images that are held out, and stores states, if told to."""

    def __init__(
        self, meter: Meter, held_out: Split | None = None, store: Callable[[Trainer, Checkpoint], object] | None = None
    ) -> None:
        self.meter, self.held_out, self.store = meter, held_out, store
        self._seconds_shown = 0
        self._facts: dict[str, str] = {}

    def on_step(self, trainer: Trainer) -> None:
        """Move by a step, or by the seconds that have passed where training is for a time."""
        if trainer.total is not None:
            self.meter.advance(1)
        elif int(trainer.seconds) > self._seconds_shown:
            self.meter.advance(int(trainer.seconds) - self._seconds_shown)
            self._seconds_shown = int(trainer.seconds)

    def on_report(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """Show the loss."""
        self._show(loss=f"{record['classifier/loss']:.4g}")

    def on_snapshot(self, trainer: Trainer) -> None:
        """Show the accuracy, once there is something to show."""
        if trainer.step and self.held_out is not None and len(self.held_out):
            right = told_right(trained(trainer), self.held_out, _NoMeter())
            self._show(validation=f"{100 * right.double().mean().item():.2f} %")

    def on_checkpoint(self, trainer: Trainer, state: Checkpoint) -> None:
        """Store the state."""
        if self.store is not None:
            self.store(trainer, state)

    def _show(self, **facts: str) -> None:
        self._facts |= facts
        self.meter.advance(0, **self._facts)


class _NoMeter:
    def advance(self, amount: int = 1, **facts: str) -> None:
        """Show nothing."""

"""Training a classifier: a game of one player, with random shifts and, where they keep the class, reflections."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import Batch
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.progress import Meter, Progress
from simulacra.data.batches import Batches
from simulacra.data.dataset import Split
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.duration import Duration
from simulacra.engine.loop import Observer, Trainer
from simulacra.engine.settings import TrainConfig
from simulacra.features.extractor import Classifier

_SHIFT = 2  # pixels, in either direction
_EPOCHS = 40  # at most by default, for small data sets
_BATCH = 128
_VALIDATIONS = 20  # during a training
_PATIENCE = 4  # validations without a smaller loss, after which a training has converged
_FEWEST = 30  # held-out images, at least, by which convergence is judged

Score = tuple[float, float]  # accuracy and cross-entropy on held-out images


class Classification(Family):
    """A classifier in training. It is not in `families/`, since it is not a generative model."""

    summary, paper = "classifies images", ""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def players(self) -> dict[str, nn.Module]:
        """One player: the whole network."""
        return {"classifier": self.network}

    def turns(self) -> tuple[Turn, ...]:
        """One turn, on the cross-entropy."""
        return (Turn(self._cross_entropy),)

    def _cross_entropy(self, batch: Batch) -> dict[str, Loss]:
        """-log p(label | image) in nats, mean over images; `accuracy` is the share of correct predictions."""
        assert batch.labels is not None
        logits = self.network(augment(self.network.adapt(batch.images), self.network.mirrors)).float()
        accuracy = (logits.argmax(1) == batch.labels).float().mean()
        return {"classifier": Loss(F.cross_entropy(logits, batch.labels), {"accuracy": accuracy})}


def augment(images: Tensor, mirror: bool) -> Tensor:
    """Return images [b c h w] shifted by -2..2 pixels along each axis, with edge padding, and reflected at random if `mirror`."""
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
    """Return the settings of the training of a classifier on `count` images, with overrides."""
    images = min(kind.images, _EPOCHS * count)
    usual = {"duration": f"{images / 1000:g}k", "batch": max(1, min(_BATCH, count)), "snapshots": _VALIDATIONS}
    return TrainConfig.of({**usual, **kind.defaults, **overrides}, "the settings of the classifier")


def classifier_trainer(kind: type[Classifier], images: Split, classes: int, settings: TrainConfig) -> Trainer:
    """Return a trainer of a new classifier on labelled images; weights are drawn from torch's global generator.

    Raises UsageError for a batch of one image, for which batch normalization is undefined.
    """
    if settings.batch < 2:
        raise UsageError(f"batch is {settings.batch} for {len(images)} images, expected at least 2: use more images")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Trainer(Classification(kind(classes)), Batches(images, settings.batch, settings.seed), settings)


def training_meter(trainer: Trainer, label: str, progress: Progress) -> AbstractContextManager[Meter]:
    """Open the progress bar of a training: over its steps, or over seconds where the duration is a time."""
    if trainer.total is not None:
        return progress.task(label, trainer.total, "steps", trainer.step)
    seconds = round(Duration.parse(trainer.settings.duration).amount)
    return progress.task(label, seconds, "seconds", min(seconds, int(trainer.seconds)))


def trained(trainer: Trainer) -> Classifier:
    """Return the classifier to evaluate: with EMA weights where there are any."""
    family = trainer.evaluated
    assert isinstance(family, Classification)
    return family.network


def correct(network: Classifier, images: Split, meter: Meter | None = None) -> Tensor:
    """Return for each image of a labelled split whether the network predicts its class: bool [n], on the CPU."""
    device = next(network.parameters()).device
    hits = []
    with inference_mode(network):
        for batch in images.chunks(network.images_per_call(device)):
            assert batch.labels is not None
            predictions = network(network.adapt(batch.images.to(device))).argmax(1)
            hits.append(predictions.cpu() == batch.labels)
            if meter is not None:
                meter.advance(len(batch))
    return torch.cat(hits)


def validated(network: Classifier, images: Split) -> Score:
    """Return the accuracy and the cross-entropy in nats, means over the images of a labelled split."""
    device = next(network.parameters()).device
    hits, losses = [], []
    with inference_mode(network):
        for batch in images.chunks(network.images_per_call(device)):
            assert batch.labels is not None
            logits = network(network.adapt(batch.images.to(device))).float().cpu()
            hits.append((logits.argmax(1) == batch.labels).double())
            losses.append(F.cross_entropy(logits, batch.labels, reduction="none").double())
    return torch.cat(hits).mean().item(), torch.cat(losses).mean().item()


def converged(scores: Sequence[Score]) -> bool:
    """Return whether a training no longer improves, by its scores so far: a function of these alone, hence deterministic.

    It has converged where the last two validations found every image classified correctly, or where none of the last four found
    a smaller cross-entropy than those before.

    >>> converged([(0.9, 0.3), (1.0, 0.2), (1.0, 0.1)])
    True
    >>> converged([(0.9, 0.30), (0.9, 0.31), (0.9, 0.32), (0.9, 0.33), (0.9, 0.31)])
    True
    >>> converged([(0.9, 0.30), (0.9, 0.31), (0.9, 0.32), (0.9, 0.33), (0.9, 0.29)])
    False
    """
    if len(scores) > 1 and all(accuracy == 1 for accuracy, _ in scores[-2:]):
        return True
    earlier, last = scores[:-_PATIENCE], scores[-_PATIENCE:]
    return bool(earlier) and min(loss for _, loss in last) >= min(loss for _, loss in earlier)


class ClassifierObserver(Observer):
    """Advances the progress bar of a training, scores held-out images, and passes checkpoints to `store`.

    scores: of the validations so far.
    """

    def __init__(
        self, meter: Meter, held_out: Split | None = None, store: Callable[[Trainer, Checkpoint], object] | None = None
    ) -> None:
        self.meter, self.held_out, self.store = meter, held_out, store
        self.scores: list[Score] = []
        self._seconds_shown = 0
        self._facts: dict[str, str] = {}

    def on_step(self, trainer: Trainer) -> None:
        """Advance by a step, or by elapsed seconds where the duration is a time."""
        if trainer.total is not None:
            self.meter.advance(1)
        elif int(trainer.seconds) > self._seconds_shown:
            self.meter.advance(int(trainer.seconds) - self._seconds_shown)
            self._seconds_shown = int(trainer.seconds)

    def on_report(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """Show the loss."""
        self._show(loss=f"{record['classifier/loss']:.4g}")

    def on_snapshot(self, trainer: Trainer) -> None:
        """Show the accuracy on held-out images, after the first step."""
        if trainer.step and self.held_out is not None and len(self.held_out):
            self.scores.append(validated(trained(trainer), self.held_out))
            self._show(validation=f"{100 * self.scores[-1][0]:.2f} %")

    def converged(self) -> bool:
        """Return whether the training no longer improves on the held-out images; False with too few of them to judge."""
        return self.held_out is not None and len(self.held_out) >= _FEWEST and converged(self.scores)

    def on_checkpoint(self, trainer: Trainer, state: Checkpoint) -> None:
        """Pass the state on."""
        if self.store is not None:
            self.store(trainer, state)

    def _show(self, **facts: str) -> None:
        self._facts |= facts
        self.meter.advance(0, **self._facts)

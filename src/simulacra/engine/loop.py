"""The training loop: it plays the game that a family describes.

In every turn each player receives the gradient of its own loss with respect to its own parameters, and nothing else. Randomness
is a function of (seed, step, turn, repeat, micro-batch), batch number i of (seed, i): a resumed run gives the same bits.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch
from simulacra.core.batch_source import BatchSource
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.randomness import reseed
from simulacra.engine import optimizers, sharding, state
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.compilation import compile_networks
from simulacra.engine.diagnosis import first_non_finite
from simulacra.engine.distributed.processes import ALONE, Processes
from simulacra.engine.duration import Duration, Origin
from simulacra.engine.ema import EMA
from simulacra.engine.learning_rate import factor
from simulacra.engine.placement import Placement
from simulacra.engine.reports import Window, non_finite
from simulacra.engine.settings import TrainConfig
from simulacra.engine.training_time import TrainingTime

_REPORTED = 10.0  # seconds between reports, at most, where the duration is a time


class Observer:
    """Callbacks of a training. They never change its steps; those that a subclass does not define do nothing.

    ending_seconds: expected for the last snapshot and checkpoint, which a duration in time includes; best: whether the last
    snapshot is the best, so that its state is stored; ends_training: whether the training ends here, before its duration.
    """

    ending_seconds = 0.0
    best = ends_training = False

    def on_step(self, trainer: "Trainer") -> None:
        """Follow every training step."""

    def on_report(self, trainer: "Trainer", record: Mapping[str, Any]) -> None:
        """Receive the mean losses of the steps since the last report, every `settings.log_every` steps.

        Where the duration is a time, also ten seconds after the last report.
        """

    def on_snapshot(self, trainer: "Trainer") -> None:
        """Validate and sample, `settings.snapshots` times during the training and once before it."""

    def on_checkpoint(self, trainer: "Trainer", state: Checkpoint) -> None:
        """Store the state."""


class Trainer:
    """Trains a family, in one process or in several that share every batch."""

    def __init__(self, family: Family, batch_source: BatchSource, settings: TrainConfig, processes: Processes = ALONE) -> None:
        self.settings, self.batch_source, self.processes = settings, batch_source, processes
        self.placement = Placement.of(settings, processes)
        self.device, self.precision = self.placement.device, self.placement.precision
        check_partition(family)
        self.family, ema, self._whole = self.placement.place(family, settings)
        self.ema = EMA(self.family, settings.ema, ema) if settings.ema else None
        if settings.compile:
            compile_networks(self.family, self.device)
        self.players = self.family.players()
        self.turns = self.family.turns()
        self.family.train()
        self.parameters = {name: optimizers.parameters(player) for name, player in self.players.items()}
        self.optimizers = {name: optimizers.Adam(own, settings) for name, own in self.parameters.items()}
        self.window = Window(processes)
        self.step = 0
        self.time = TrainingTime()
        self.batches_per_step = sum(turn.repeats for turn in self.turns)
        self._begin_at(Origin())

    @property
    def evaluated(self) -> Family:
        """The model that is evaluated: the EMA if there is one, otherwise the trained family; not sharded."""
        return self._whole or (self.ema.family if self.ema else self.family)

    @property
    def seconds(self) -> float:
        """Seconds of the training so far, with snapshots and checkpoints."""
        return self.time.seconds

    @property
    def done(self) -> float:
        """Fraction of the training that is done, in [0, 1]; less than 1 before the first step."""
        if self.total is not None:
            return self._done_at(self.step)
        return self.time.done(self._amount) if self.step else 0.0

    @property
    def images(self) -> int:
        """Number of training images processed so far."""
        return self._origin.images + (self.step - self._origin.step) * self.batches_per_step * self.settings.batch

    @property
    def epochs(self) -> float:
        """Number of passes over the training images so far."""
        batches = (self.step - self._origin.step) * self.batches_per_step
        return self._origin.epochs + batches / self.batch_source.per_epoch

    def run(self, observer: Observer, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Train until the end or until `stopped`; return whether the end was reached. The last state is checkpointed."""
        self.time.start()
        checkpoint_due, reported = self._next_checkpoint(), self.seconds
        observed = self.step  # at which the last snapshot was taken
        if self.step == 0:
            self._observe(observer)
        while not self._synchronize(observer, stopped) and not (self.done >= 1 or self._ends_early):
            before = self._snapshots_due()
            self.play()
            self._synchronize(observer, stopped)  # the time, on which the following conditions depend
            self.time.count_step(self.step)
            observer.on_step(self)
            is_late = self.total is None and self.seconds - reported >= _REPORTED
            if self.step % self.settings.log_every == 0 or is_late or self.done >= 1:
                observer.on_report(self, self.report())
                reported = self.seconds
            if self._snapshots_due() > before:
                self._observe(observer)
                observed = self.step
            if checkpoint_due():
                self._store(observer)
                checkpoint_due = self._next_checkpoint()
        if finished := self.done >= 1 or self._ends_early:
            if self.window:  # the time ended during a snapshot or a checkpoint, or the training ended early
                observer.on_report(self, self.report())
            if observed < self.step:
                self._observe(observer)
        self._store(observer)
        return finished

    def play(self) -> None:
        """Do one training step: play every turn."""
        if not self.family.training:  # setting the mode of every module takes several microseconds for each
            self.family.train()
        done = self.time.done_in_next_step(self._amount) if self.total is None else self._done_at(self.step + 0.5)
        rate = self.settings.lr * factor(done, self.settings.warmup, self.settings.schedule)
        for optimizer in self.optimizers.values():
            optimizer.rate = rate
        number = self.step * self.batches_per_step
        for index, turn in enumerate(self.turns):
            for repeat in range(turn.repeats):
                batch = self.batch_source.batch(number, self.device)
                self.window.add(self.step + 1, self._play_turn(turn, batch, (index, repeat)))
                number += 1
        self.step += 1
        if self.ema:
            self.ema.update()

    def report(self) -> dict[str, Any]:
        """Return step, images, epochs, learning rate and the mean losses since the last report, and begin a new window."""
        means = self.window.means()
        self.window = Window(self.processes)
        rate = next(iter(self.optimizers.values())).rate
        return {"step": self.step, "images": self.images, "epochs": round(self.epochs, 4), "lr": rate, **means}

    def _play_turn(self, turn: Turn, batch: Batch, position: tuple[int, int]) -> dict[str, Loss]:
        """Compute the gradients of all players of a turn, then update them; return the losses, means over the micro-batches."""
        losses = [self._compute_gradients(turn, piece, (*position, index)) for index, piece in self.placement.split(batch)]
        for player in losses[0]:
            gradients = [parameter.grad for parameter in self.parameters[player] if parameter.grad is not None]
            self.processes.average([gradient for gradient in gradients if not sharding.is_split(gradient)])  # FSDP averages those
            if self.settings.clip:
                nn.utils.clip_grad_norm_(self.parameters[player], self.settings.clip)
            self.optimizers[player].step()
            self.optimizers[player].zero_grad()
        return losses[0] if len(losses) == 1 else _mean(losses)

    def _compute_gradients(self, turn: Turn, batch: Batch, position: tuple[int, int, int]) -> dict[str, Loss]:
        """Add to the gradients of each player of the turn those of its own loss with respect to its own parameters.

        Raises NonFiniteError on CPUs for a loss that is not finite, naming the first module with such an output.
        """
        losses = self._losses(turn, batch, position)
        for player, loss in losses.items() if self.device.type == "cpu" else ():  # on GPUs, without waiting, by the next report
            if not math.isfinite(value := loss.total.item()):
                module = first_non_finite(self.family, lambda: self._losses(turn, batch, position))
                raise non_finite(self.step + 1, f"{player}/loss", value, module)
        for left, (player, loss) in zip(reversed(range(len(losses))), losses.items(), strict=True):
            self._backward(player, loss.total, retain_graph=left > 0)
        return losses

    def _losses(self, turn: Turn, batch: Batch, position: tuple[int, int, int]) -> dict[str, Loss]:
        reseed(self.settings.seed, "step", self.step, *position)
        with self.placement.autocast():
            return dict(turn.losses(batch))

    def _backward(self, player: str, total: Tensor, *, retain_graph: bool) -> None:
        """Add to a player's gradients those of its loss, divided by the number of this process's micro-batches."""
        count = len(self.placement.micro_batches)
        part = total / count if count > 1 else total
        if not self.settings.shard:
            torch.autograd.backward(part, inputs=self.parameters[player], retain_graph=retain_graph)
            return
        # The graph of a sharded player does not begin at its parameters.
        others = [parameter for name, own in self.parameters.items() if name != player for parameter in own]
        with sharding.gradients_kept(others):
            torch.autograd.backward(part, retain_graph=retain_graph)

    def _observe(self, observer: Observer) -> None:
        """Take a snapshot; the state of the best one is stored."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # the time of steps is not that of the snapshot
        with self.time.observing():
            if self._whole:
                trained = self.ema.family if self.ema else self.family
                self._whole.load_state_dict(sharding.gathered(trained.state_dict()))
            observer.on_snapshot(self)
        if self.processes.highest(float(observer.best))[0]:
            self._store(observer)

    def _store(self, observer: Observer) -> None:
        with self.time.observing():
            observer.on_checkpoint(self, self.state())

    def _synchronize(self, observer: Observer, stopped: Callable[[], bool]) -> bool:
        """Add to the training time; return whether any process is stopped. All processes get the same time and answer."""
        times = self.time.now(), self.time.observed, observer.ending_seconds or self.time.ending
        found = self.processes.highest(*times, float(stopped()), float(observer.ends_training))
        self.time.seconds, self.time.observed, self.time.ending, halted, ended = found
        self._ends_early = ended > 0
        return halted > 0

    def _steps(self, duration: Duration) -> int | None:
        return duration.steps(self.settings.batch, self.batch_source.per_epoch, self.batches_per_step)

    def _begin_at(self, origin: Origin) -> None:
        """Set where the present batch size begins, and the number of steps of the whole training."""
        self._origin, duration = origin, Duration.parse(self.settings.duration)
        self._amount = duration.amount
        self._share = 0.0 if duration.unit == "seconds" else duration.share(origin)
        steps = self._steps(duration.after(self._share)) if self._share < 1 else 0
        self.total = None if steps is None else origin.step + steps

    def _done_at(self, step: float) -> float:
        """Return the fraction of a training of a known number of steps that is done at a step."""
        assert self.total is not None
        steps = self.total - self._origin.step
        return min(1.0, self._share + (1 - self._share) * (step - self._origin.step) / steps) if steps else 1.0

    def _snapshots_due(self) -> int:
        return int(self.done * self.settings.snapshots + 1e-9)

    def _next_checkpoint(self) -> Callable[[], bool]:
        steps = self._steps(Duration.parse(self.settings.checkpoint_every))
        if steps is not None:
            return lambda: self.step % steps == 0
        deadline = self.seconds + Duration.parse(self.settings.checkpoint_every).amount
        return lambda: self.seconds >= deadline

    def state(self) -> Checkpoint:
        """Return everything that training needs to continue; raises NonFiniteError. All processes must call this together."""
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "time": self.time.facts(),
            "batch": self.settings.batch,
            "images": self.images,
            "epochs": self.epochs,
            "origin": asdict(self._origin),
            "micro_batches": self.placement.total_micro_batches,
            "ema_updates": self.ema.updates if self.ema else 0,
            "window": self.window.rows(),  # raises before the tensors are collected: training cannot continue from such a state
        }
        return Checkpoint(state.collect(self.family, self.ema, self.optimizers, self.processes), facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a state."""
        state.restore(checkpoint.tensors, self.family, self.ema, self.optimizers, self.processes)
        facts = checkpoint.facts
        if self.ema:
            self.ema.updates = facts["ema_updates"]
        self.step = facts["step"]
        self.time.restore(facts["seconds"], facts.get("time", {}))
        self._begin_at(self._origin_of(facts))
        self.window = Window(self.processes, facts["window"])

    def _origin_of(self, facts: Mapping[str, Any]) -> Origin:
        """Return where the batch size of the settings begins: at the checkpoint if it has another one.

        Checkpoints of earlier versions have the batch size of the settings.
        """
        if facts.get("batch", self.settings.batch) == self.settings.batch:
            return Origin(**facts.get("origin", {}))
        return Origin(facts["step"], facts["images"], facts["epochs"])


def check_partition(family: Family) -> None:
    """Raise UsageError unless the players are disjoint and contain every trainable parameter: an error in the family."""
    owned = [id(parameter) for player in family.players().values() for parameter in optimizers.parameters(player)]
    trainable = {id(parameter) for parameter in family.parameters() if parameter.requires_grad}
    if len(owned) != len(set(owned)) or set(owned) != trainable:
        raise UsageError(f"the players of {type(family).__name__} must be disjoint and contain every trainable parameter")


def _mean(pieces: Sequence[Mapping[str, Loss]]) -> dict[str, Loss]:
    def mean(values: list[Tensor]) -> Tensor:
        return torch.stack([value.detach() for value in values]).mean()

    def joined(player: str, parts: Iterable[str]) -> Loss:
        losses = [piece[player] for piece in pieces]
        return Loss(mean([loss.total for loss in losses]), {part: mean([loss.parts[part] for loss in losses]) for part in parts})

    return {player: joined(player, loss.parts) for player, loss in pieces[0].items()}

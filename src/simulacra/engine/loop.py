"""The training loop: it plays the game that a family describes.

In every turn each player receives the gradient of its own loss with respect to its own parameters, and nothing else. Randomness
is a function of (seed, step, turn, repeat, micro-batch), batch number i of (seed, i): a resumed run gives the same bits.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from simulacra.engine.duration import Duration
from simulacra.engine.ema import EMA
from simulacra.engine.learning_rate import factor
from simulacra.engine.placement import Placement
from simulacra.engine.processes import ALONE, Processes
from simulacra.engine.reports import Window, non_finite
from simulacra.engine.settings import TrainConfig


class Observer:
    """Callbacks of a training. They never change it; those that a subclass does not define do nothing."""

    def on_step(self, trainer: "Trainer") -> None:
        """Follow every training step."""

    def on_report(self, trainer: "Trainer", record: Mapping[str, Any]) -> None:
        """Receive the mean losses of the steps since the last report, every `settings.log_every` steps."""

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
        self.parameters = {name: optimizers.parameters(player) for name, player in self.players.items()}
        self.optimizers = {name: optimizers.Adam(own, settings) for name, own in self.parameters.items()}
        self.window = Window(processes)
        self.step = 0
        self.seconds = 0.0
        self.batches_per_step = sum(turn.repeats for turn in self.turns)
        self.total = self._steps(settings.duration)

    @property
    def evaluated(self) -> Family:
        """The model that is evaluated: the EMA if there is one, otherwise the trained family; not sharded."""
        return self._whole or (self.ema.family if self.ema else self.family)

    @property
    def done(self) -> float:
        """Fraction of the training that is done, in [0, 1]."""
        return self._done_at(self.step)

    @property
    def images(self) -> int:
        """Number of training images processed so far."""
        return self.step * self.batches_per_step * self.settings.batch

    @property
    def epochs(self) -> float:
        """Number of passes over the training images so far."""
        return self.step * self.batches_per_step / self.batch_source.per_epoch

    def run(self, observer: Observer, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Train until the end or until `stopped`; return whether the end was reached. The last state is checkpointed."""
        self._clock = time.perf_counter()
        checkpoint_due = self._next_checkpoint()
        if self.step == 0:
            self._observe(observer)
        while not self._synchronize(stopped) and self.done < 1:
            before = self._snapshots_due()
            self.play()
            self._synchronize(stopped)  # the time, on which the following conditions depend
            observer.on_step(self)
            if self.step % self.settings.log_every == 0 or self.done >= 1:
                observer.on_report(self, self.report())
            if self._snapshots_due() > before:
                self._observe(observer)
            if checkpoint_due():
                observer.on_checkpoint(self, self.state())
                checkpoint_due = self._next_checkpoint()
        observer.on_checkpoint(self, self.state())
        return self.done >= 1

    def play(self) -> None:
        """Do one training step: play every turn."""
        self.family.train()
        rate = self.settings.lr * factor(self._done_at(self.step + 0.5), self.settings.warmup, self.settings.schedule)
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
        part = total / len(self.placement.micro_batches)
        if not self.settings.shard:
            torch.autograd.backward(part, inputs=self.parameters[player], retain_graph=retain_graph)
            return
        # The graph of a sharded player does not begin at its parameters.
        others = [parameter for name, own in self.parameters.items() if name != player for parameter in own]
        with sharding.gradients_kept(others):
            torch.autograd.backward(part, retain_graph=retain_graph)

    def _observe(self, observer: Observer) -> None:
        if self._whole:
            trained = self.ema.family if self.ema else self.family
            self._whole.load_state_dict(sharding.gathered(trained.state_dict()))
        observer.on_snapshot(self)

    def _synchronize(self, stopped: Callable[[], bool]) -> bool:
        """Add to the training time; return whether any process is stopped. All processes get the same time and answer."""
        before, self._clock = self._clock, time.perf_counter()
        self.seconds, halted = self.processes.highest(self.seconds + self._clock - before, float(stopped()))
        return halted > 0

    def _steps(self, duration: str) -> int | None:
        return Duration.parse(duration).steps(self.settings.batch, self.batch_source.per_epoch, self.batches_per_step)

    def _done_at(self, step: float) -> float:
        seconds = Duration.parse(self.settings.duration).amount
        return min(1.0, step / self.total if self.total is not None else self.seconds / seconds)

    def _snapshots_due(self) -> int:
        return int(self.done * self.settings.snapshots + 1e-9)

    def _next_checkpoint(self) -> Callable[[], bool]:
        steps = self._steps(self.settings.checkpoint_every)
        if steps is not None:
            return lambda: self.step % steps == 0
        deadline = self.seconds + Duration.parse(self.settings.checkpoint_every).amount
        return lambda: self.seconds >= deadline

    def state(self) -> Checkpoint:
        """Return everything that training needs to continue; raises NonFiniteError. All processes must call this together."""
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "micro_batches": self.placement.total_micro_batches,
            "ema_updates": self.ema.updates if self.ema else 0,
            "window": self.window.rows(),  # raises before the tensors are collected: training cannot continue from such a state
        }
        return Checkpoint(state.collect(self.family, self.ema, self.optimizers), facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a state."""
        state.restore(checkpoint.tensors, self.family, self.ema, self.optimizers)
        facts = checkpoint.facts
        if self.ema:
            self.ema.updates = facts["ema_updates"]
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.window = Window(self.processes, facts["window"])


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

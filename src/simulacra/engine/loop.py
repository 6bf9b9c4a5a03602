"""The one training loop: it plays the game that a family describes.

Every move gives each moving player the gradient of its own loss along its own parameters, and nothing else. Randomness is a
function of (seed, step, turn, repeat) and batch number i of (seed, i), so that a resumed run goes on bit for bit.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch
from simulacra.core.batch_source import BatchSource
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.randomness import reseed
from simulacra.engine import optimizers, sharding
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.compilation import compile_networks
from simulacra.engine.diagnosis import first_non_finite
from simulacra.engine.duration import Duration
from simulacra.engine.ema import Average
from simulacra.engine.hardware import channels_last, device_of, precision_of
from simulacra.engine.learning_rate import factor
from simulacra.engine.processes import ALONE, Processes
from simulacra.engine.reports import Window, non_finite
from simulacra.engine.settings import TrainConfig

_CHANNELS_LAST_FROM = 4  # images in a batch; below that the default memory layout is faster


class Observer(Protocol):
    """Something that looks at training from time to time, and never changes it."""

    def stepped(self, trainer: "Trainer") -> None:
        """Hear that a step is done."""

    def reported(self, trainer: "Trainer", record: Mapping[str, Any]) -> None:
        """Receive the averaged losses of the last steps."""

    def due(self, trainer: "Trainer") -> None:
        """Look at the model, `settings.snapshots` times during the training and once before it."""

    def checkpoint(self, trainer: "Trainer", state: Checkpoint) -> None:
        """Store the state."""


class Trainer:
    """A family in training, in one process or in several that share every batch."""

    def __init__(self, family: Family, batch_source: BatchSource, settings: TrainConfig, processes: Processes = ALONE) -> None:
        self.settings, self.batch_source, self.processes = settings, batch_source, processes
        self.share = processes.pieces(settings.accumulate, settings.batch)
        self.device = device_of(settings.device)
        self.precision = precision_of(settings.precision, self.device)
        check_partition(family)
        self.family, twin = self._placed(family)
        self.average = Average(self.family, settings.ema, twin) if settings.ema else None
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

    # --- where it stands

    @property
    def evaluated(self) -> Family:
        """The model that is looked at: the average where there is one, else the live family; gathered, if it is split."""
        return self._gathered or self._final

    @property
    def _final(self) -> Family:
        return self.average.family if self.average else self.family

    @property
    def pieces(self) -> int:
        """In how many pieces, over all processes, a batch is computed."""
        return len(self.share) * self.processes.count

    @property
    def done(self) -> float:
        """Share of the training that is done, in [0, 1]."""
        return self._share(self.step)

    @property
    def images(self) -> int:
        """Images seen."""
        return self.step * self.batches_per_step * self.settings.batch

    @property
    def epochs(self) -> float:
        """Passes over the training images."""
        return self.step * self.batches_per_step / self.batch_source.per_epoch

    # --- the loop

    def run(self, observer: Observer, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until `stopped`; return whether the end was reached. The last state is checkpointed."""
        clock = _Clock()
        next_checkpoint = self._next_checkpoint()
        if self.step == 0:
            self._look(observer)
        while not self._agree(clock, stopped) and self.done < 1:
            before = self._snapshot()
            self.play()
            self._agree(clock, stopped)  # on the time, which what follows depends on
            observer.stepped(self)
            if self.step % self.settings.log_every == 0 or self.done >= 1:
                observer.reported(self, self.report())
            if self._snapshot() > before:
                self._look(observer)
            if next_checkpoint():
                self._checkpoint(observer)
                next_checkpoint = self._next_checkpoint()
        self._checkpoint(observer)
        return self.done >= 1

    def play(self) -> None:
        """Play every turn of one step."""
        self.family.train()
        rate = self.settings.lr * factor(self._share(self.step + 0.5), self.settings.warmup, self.settings.schedule)
        for optimizer in self.optimizers.values():
            optimizer.rate = rate
        number = self.step * self.batches_per_step
        for index, turn in enumerate(self.turns):
            for repeat in range(turn.repeats):
                batch = self.batch_source.batch(number, self.device)
                self.window.add(self.step + 1, self._move(turn, batch, (index, repeat)))
                number += 1
        self.step += 1
        if self.average:
            self.average.update()

    def report(self) -> dict[str, Any]:
        """Return the losses since the last report, with where training stands, and begin a new window."""
        means = self.window.means()
        self.window = Window(self.processes)
        rate = next(iter(self.optimizers.values())).rate
        return {"step": self.step, "images": self.images, "epochs": round(self.epochs, 4), "lr": rate, **means}

    def _move(self, turn: Turn, batch: Batch, position: tuple[int, int]) -> dict[str, Loss]:
        """Give every moving player its gradient, then let all of them move; return the losses, averaged over the pieces."""
        pieces = [self._differentiate(turn, piece, (*position, index)) for index, piece in self._pieces(batch)]
        for player in pieces[0]:
            self.processes.average(self._own_gradients(player))
            if self.settings.clip:
                nn.utils.clip_grad_norm_(self.parameters[player], self.settings.clip)
            self.optimizers[player].step()
            self.optimizers[player].forget_gradients()
        return pieces[0] if len(pieces) == 1 else _mean(pieces)

    def _differentiate(self, turn: Turn, batch: Batch, position: tuple[int, int, int]) -> dict[str, Loss]:
        """Add to each moving player's gradients those of its own loss along its own parameters."""
        losses = self._losses(turn, batch, position)
        if self.device.type == "cpu":  # where looking costs nothing; elsewhere the next report looks
            self._require_finite(losses, lambda: self._losses(turn, batch, position))
        for left, (player, loss) in zip(reversed(range(len(losses))), losses.items(), strict=True):
            self._backward(player, loss.total, retain_graph=left > 0)
        return losses

    def _backward(self, player: str, total: Tensor, *, retain_graph: bool) -> None:
        """Add to a player's gradients those of its loss, the mean over this process's pieces."""
        part = total / len(self.share)
        if not self.settings.shard:
            torch.autograd.backward(part, inputs=self.parameters[player], retain_graph=retain_graph)
            return
        # A split player's graph does not begin at its parameters.
        others = [parameter for name, own in self.parameters.items() if name != player for parameter in own]
        with sharding.gradients_kept(others):
            torch.autograd.backward(part, retain_graph=retain_graph)

    def _own_gradients(self, player: str) -> list[Tensor]:
        """Return the gradients that the processes have yet to average; those of split parameters are averaged already."""
        gradients = [parameter.grad for parameter in self.parameters[player] if parameter.grad is not None]
        return sharding.unsplit(gradients)

    def _losses(self, turn: Turn, batch: Batch, position: tuple[int, int, int]) -> dict[str, Loss]:
        reseed(self.settings.seed, "step", self.step, *position)
        with self._arithmetic():
            return dict(turn.losses(batch))

    def _require_finite(self, losses: Mapping[str, Loss], again: Callable[[], object]) -> None:
        """Raise NonFiniteError for a loss that is not finite, naming the module where that began."""
        for player, loss in losses.items():
            value = loss.total.item()
            if not math.isfinite(value):
                raise non_finite(self.step + 1, f"{player}/loss", value, first_non_finite(self.family, again))

    def _pieces(self, batch: Batch) -> Iterator[tuple[int, Batch]]:
        """Yield the pieces of this process's part of a batch, numbered over all processes."""
        count = len(self.share)
        for place, number in enumerate(self.share):
            yield number, (batch if count == 1 else _piece(batch, place, count))

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            yield

    # --- several processes

    def _placed(self, family: Family) -> tuple[Family, Family | None]:
        """Put a family where it trains, equal in all processes; return it with a copy for the average, if there is one."""
        family = family.to(self.device)
        self.processes.equalize([tensor.detach() for tensor in (*family.parameters(), *family.buffers())])
        if self.processes.count > 1 and self.device.type == "cuda":
            family = nn.SyncBatchNorm.convert_sync_batchnorm(family)
        if self.settings.batch >= _CHANNELS_LAST_FROM and not self.settings.shard:
            channels_last(family)
        twin = copy.deepcopy(family) if self.settings.ema else None
        self._gathered = self._sharded(family, twin) if self.settings.shard else None
        return family, twin

    def _sharded(self, family: Family, twin: Family | None) -> Family:
        """Split a family and its copy over the processes; return one that stays whole, in main memory, for looking at."""
        if self.processes.count == 1:
            raise UsageError("--shard needs several processes, and this is one: start it with torchrun, or say --no-shard")
        watched = copy.deepcopy(family).cpu()
        for copied in (family, twin):
            if copied is not None:
                sharding.shard(copied)
        return watched

    def _look(self, observer: Observer) -> None:
        if self._gathered:
            self._gathered.load_state_dict(sharding.gathered(self._final.state_dict()))
        observer.due(self)

    def _agree(self, clock: "_Clock", stopped: Callable[[], bool]) -> bool:
        """Count the time; return whether any process was told to stop. All processes get the same time and answer."""
        self.seconds, halted = self.processes.highest(self.seconds + clock.passed(), float(stopped()))
        return halted > 0

    # --- duration

    def _steps(self, duration: str) -> int | None:
        return Duration.parse(duration).steps(self.settings.batch, self.batch_source.per_epoch, self.batches_per_step)

    def _share(self, step: float) -> float:
        if self.total is not None:
            return min(1.0, step / self.total)
        return min(1.0, self.seconds / Duration.parse(self.settings.duration).amount)

    def _snapshot(self) -> int:
        return int(self.done * self.settings.snapshots + 1e-9)

    def _next_checkpoint(self) -> Callable[[], bool]:
        """Return a question that answers whether the next checkpoint is due."""
        steps = self._steps(self.settings.checkpoint_every)
        if steps is not None:
            return lambda: self.step % steps == 0
        deadline = self.seconds + Duration.parse(self.settings.checkpoint_every).amount
        return lambda: self.seconds >= deadline

    # --- state

    def _checkpoint(self, observer: Observer) -> None:
        observer.checkpoint(self, self.state())

    def state(self) -> Checkpoint:
        """Return all that training needs to go on; raises NonFiniteError. All processes must ask at once."""
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "pieces": self.pieces,
            "average_updates": self.average.updates if self.average else 0,
            "window": self.window.rows(),  # first, since a state with a non-finite loss is none to go on from
        }
        moments = {
            f"{player}/{name}": tensor
            for player, module in self.players.items()
            for name, tensor in optimizers.state(module, self.optimizers[player]).items()
        }
        tensors: dict[str, Mapping[str, Tensor]] = {"model": self.family.state_dict(), "optimizers": moments}
        if self.average:
            tensors["average"] = self.average.family.state_dict()
        return Checkpoint({group: sharding.gathered(named) for group, named in tensors.items()}, facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a state."""
        sharding.load(self.family, checkpoint.tensors["model"])
        if self.average:
            sharding.load(self.average.family, checkpoint.tensors["average"])
            self.average.updates = checkpoint.facts["average_updates"]
        for player, module in self.players.items():
            stored, prefix = checkpoint.tensors["optimizers"], f"{player}/"
            own = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
            optimizers.restore(module, self.optimizers[player], own)
        self.step, self.seconds = checkpoint.facts["step"], checkpoint.facts["seconds"]
        self.window = Window(self.processes, checkpoint.facts["window"])


def check_partition(family: Family) -> None:
    """Raise ValueError unless the players are disjoint and hold every trainable parameter: a mistake in the family."""
    owned = [id(parameter) for player in family.players().values() for parameter in optimizers.parameters(player)]
    trainable = {id(parameter) for parameter in family.parameters() if parameter.requires_grad}
    if len(owned) != len(set(owned)) or set(owned) != trainable:
        raise ValueError(f"the players of {type(family).__name__} must be disjoint and hold every trainable parameter")


class _Clock:
    """Wall time, piece by piece."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def passed(self) -> float:
        """Return the seconds since the last call."""
        before, self.last = self.last, time.perf_counter()
        return self.last - before


def _piece(batch: Batch, index: int, count: int) -> Batch:
    """Return part `index` of `count` equal parts of a batch and of its domains."""
    size = len(batch) // count
    return batch.rows(slice(index * size, (index + 1) * size))


def _mean(pieces: Sequence[Mapping[str, Loss]]) -> dict[str, Loss]:
    def mean(values: list[Tensor]) -> Tensor:
        return torch.stack([value.detach() for value in values]).mean()

    return {
        player: Loss(
            mean([piece[player].total for piece in pieces]),
            {part: mean([piece[player].parts[part] for piece in pieces]) for part in loss.parts},
        )
        for player, loss in pieces[0].items()
    }

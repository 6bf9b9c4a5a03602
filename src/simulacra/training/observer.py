"""Observers of a training: reports, snapshots, checkpoints, warnings, the progress display, and early stopping."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from simulacra.core.early_stopping import best_step, has_no_progress, validation_losses
from simulacra.core.progress import Meter, Progress
from simulacra.data.dataset import Dataset
from simulacra.engine import trackers
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.duration import Duration
from simulacra.engine.loop import Observer, Trainer
from simulacra.engine.trackers import Tracking, tracking
from simulacra.runs import settings
from simulacra.runs.run import CONFIG, Run
from simulacra.training.monitors import TrainingHistory, training_warnings
from simulacra.training.progress_line import ProgressLine
from simulacra.training.snapshot_size import SnapshotBudget
from simulacra.training.snapshots import Snapshots
from simulacra.training.time_plan import is_measured, time_plan

_WRITTEN = 100e6  # bytes of a checkpoint written in a second, before one is measured
_PROBE = 0.005  # of a duration in time, that a measurement of the cost of snapshots takes before it ends
_ANIMATION = 0.04  # seconds of a frame of the animation at the end


class NullObserver(Observer):
    """The observer of all processes but the first: it does nothing."""


class RunObserver(Observer):
    """Writes reports, images and checkpoints into the run folder, and sends them to the progress display and the trackers."""

    def __init__(self, run: Run, dataset: Dataset, progress: Progress, meter: Meter, tracking: Tracking) -> None:
        run.prepare_writing()
        self.run, self.progress, self.meter, self.tracking = run, progress, meter, tracking
        self.snapshots = Snapshots(run, dataset, tracking)
        self.budget: SnapshotBudget | None = None  # of a duration in time, from its first step or snapshot on
        self.best = False
        self.ends_training = self._has_no_progress()
        self._line = ProgressLine(meter)
        self._checkpoint_seconds = 0.0
        self._is_planned = False
        self._warned: set[str] = set()
        self._seconds_displayed = 0

    def on_step(self, trainer: Trainer) -> None:
        """Advance the progress bar, by a step or by the elapsed seconds; display losses; and print the plan of a time, once."""
        if trainer.total is not None:
            self.meter.advance(1)
        elif int(trainer.seconds) > self._seconds_displayed:
            self.meter.advance(int(trainer.seconds) - self._seconds_displayed)
            self._seconds_displayed = int(trainer.seconds)
        self._line.show_recent(trainer)
        if trainer.total is None and not self._is_planned and is_measured(trainer):
            self._is_planned = True
            with trainer.time.observing():
                budget = self._budget(trainer)
            self.progress.message(time_plan(trainer, budget, self.run.spec))

    def on_report(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """Append a record to the reports, and display it."""
        speed = trainer.images / max(trainer.seconds - trainer.time.observed, 1e-9)
        timing = {"seconds": round(trainer.seconds, 3), "images_per_second": round(speed, 1)}
        with self.run.saving():
            self._report("train", {**record, **timing})
        self._line.show(trainer, record)

    def on_snapshot(self, trainer: Trainer) -> None:
        """Save images, validate, and measure diversity; of a duration in time as far as its share for snapshots permits."""
        self.best = False
        budget = self._budget(trainer) if trainer.total is None else None
        full = self.snapshots.full_size(trainer.evaluated)
        if (size := budget.next(trainer.time.observed, trainer.done) if budget else full) is None:
            return
        began = trainer.time.clock()
        with self.run.saving():
            record = self.snapshots.take(trainer, size)
            self._report("validation", {"step": trainer.step, **record})
        if budget:
            budget.measure(trainer.time.clock() - began)
            self._expect_ending(trainer, budget)
        self._line.show_validation(trainer, record)
        self._warn(trainer)
        self._judge(trainer)

    def on_checkpoint(self, trainer: Trainer, state: Checkpoint) -> None:
        """Store the state in the run folder."""
        began = trainer.time.clock()
        with self.run.saving():
            self.run.write_checkpoint(trainer.step, state, trainer.settings.keep)
        self._checkpoint_seconds = trainer.time.clock() - began
        if self.budget:
            self._expect_ending(trainer, self.budget)

    def _report(self, kind: str, record: Mapping[str, Any]) -> None:
        self.run.reports.append({"kind": kind, **record})
        self.tracking.scalars(kind, record)

    def _budget(self, trainer: Trainer) -> SnapshotBudget:
        """Return the budget of the snapshots of a duration in time."""
        if self.budget is None:
            family, count = trainer.evaluated, trainer.settings.snapshots
            full, sampling = self.snapshots.full_size(family), self.snapshots.sampling(family)
            amount = Duration.parse(trainer.settings.duration).amount
            evaluation = self.snapshots.seconds_per_image(trainer, _PROBE * amount)
            self.budget = SnapshotBudget(full, sampling, count, amount, evaluation)
            self._expect_ending(trainer, self.budget)
        return self.budget

    def _expect_ending(self, trainer: Trainer, budget: SnapshotBudget) -> None:
        """Set the expected seconds of the last snapshot, the last checkpoint and the animation."""
        copies = 3 + bool(trainer.ema)  # the weights, two averages of gradients, and those of the EMA
        size = copies * sum(value.numel() * value.element_size() for value in trainer.family.parameters())
        checkpoint = self._checkpoint_seconds or size / _WRITTEN
        self.ending_seconds = budget.seconds + checkpoint + _ANIMATION * trainer.settings.snapshots

    def _warn(self, trainer: Trainer) -> None:
        for warning in training_warnings(TrainingHistory.of(self.run, trainer.done)):
            if warning.name not in self._warned:
                self._warned.add(warning.name)
                self.progress.message(f"warning: {warning.message}")

    def _judge(self, trainer: Trainer) -> None:
        """Decide whether the last snapshot is the best, and whether the training ends early."""
        if trainer.settings.patience:
            best = best_step(validation_losses(self.run.reports.read()))
            self.best, self.ends_training = best == trainer.step, self._has_no_progress()
            if self.ends_training and trainer.done < 1:
                self.progress.message(
                    f"early stopping at step {trainer.step:,}: the validation loss was lowest at step {best:,}, whose weights "
                    "are kept and evaluated"
                )

    def _has_no_progress(self) -> bool:
        patience = self.run.config.train.patience
        return bool(patience) and has_no_progress(validation_losses(self.run.reports.read()), patience)


def open_trackers(run: Run, trainer: Trainer, progress: Progress) -> AbstractContextManager[Tracking]:
    """Open the trackers that the settings name, at the step of the trainer; in the first process only."""
    chosen = trackers.chosen(trainer.settings.track) if trainer.processes.first else ()
    flat = settings.read(run.path / CONFIG).flat() if chosen else {}
    return tracking(chosen, flat, run.path, trainer.step, progress)

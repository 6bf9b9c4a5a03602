"""Train a family, and continue an interrupted run bit for bit."""

import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT, Meter, Progress
from simulacra.core.randomness import stream
from simulacra.data.batches import Batches
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.data.sources import located
from simulacra.engine import checkpoint
from simulacra.engine.duration import Duration
from simulacra.engine.hardware import keep_memory
from simulacra.engine.trainer import Trainer
from simulacra.runs.lock import writing
from simulacra.runs.provenance import now, provenance
from simulacra.runs.run import CONFIG, Run
from simulacra.runs.settings import RunConfig
from simulacra.tasks.observe import RunObserver


@dataclass(frozen=True)
class Outcome:
    """What became of a training."""

    run: Run
    finished: bool
    step: int
    seconds: float

    def table(self) -> dict[str, Any]:
        """Return the outcome as it stands in JSON."""
        return {"run": str(self.run.path), "finished": self.finished, "step": self.step, "training_seconds": self.seconds}


def train(config: RunConfig, out: Path, dataset: Dataset | None = None, progress: Progress = SILENT) -> Outcome:
    """Train from the beginning into a new run folder `out`; the data are loaded from the settings unless given."""
    Run.refuse(out)
    config = replace(config, data=located(config.data))
    _prepare(config)
    data = dataset or load(config.data, progress)
    with stream(config.train.seed, "initialize"):
        trainer = _trainer(config, data)
        run = Run.create(out, config, provenance(data, _command()))
        with writing(run.path):
            return _play(run, trainer, data, progress)


def resume(path: Path, duration: str = "", dataset: Dataset | None = None, progress: Progress = SILENT) -> Outcome:
    """Continue a run from its newest whole checkpoint; a new `duration` lengthens or shortens it."""
    run = Run.open(path)
    config = run.config
    if duration:
        config = replace(config, train=replace(config.train, duration=duration))
    _prepare(config)
    data = run.check_data(dataset or load(config.data, progress))
    with writing(run.path), stream(config.train.seed, "initialize"):
        trainer = _trainer(config, data)
        _restore(trainer, run, progress)
        _check_length(trainer, run, duration, progress)
        config.write(run.path / CONFIG)
        resumes = [*run.provenance.get("resumes", []), {"time": now(), "from_step": trainer.step, "command": _command()}]
        run.update_provenance(resumes=resumes, finished=False)
        return _play(run, trainer, data, progress)


def default_folder(config: RunConfig) -> Path:
    """Return the first folder runs/FAMILY-DATA-N that does not exist."""
    name = f"{config.family}-{Path(config.data.path or config.data.data).stem}"
    number = 1
    while Path("runs", f"{name}-{number}").exists():
        number += 1
    return Path("runs", f"{name}-{number}")


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _prepare(config: RunConfig) -> None:
    keep_memory()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)


def _trainer(config: RunConfig, data: Dataset) -> Trainer:
    feed = Batches(data.train, config.train.batch, config.train.seed, flip=config.data.flip)
    return Trainer(config.new_family(data.spec), feed, config.train)


def _restore(trainer: Trainer, run: Run, progress: Progress) -> None:
    if not checkpoint.paths(run.checkpoints):
        progress.say("there is no checkpoint yet: starting from the beginning, which gives the same result")
        run.reports.forget_after(-1)
        return
    stored, problems = run.read_checkpoint(trainer.family)
    for problem in problems:
        progress.say(f"warning: {problem}; the one before it is used")
    trainer.restore(stored)
    run.reports.forget_after(trainer.step)


def _check_length(trainer: Trainer, run: Run, duration: str, progress: Progress) -> None:
    """Refuse a new duration that ends before the step already reached, and tell where nothing is left to do."""
    if duration and trainer.total is not None and trainer.total < trainer.step:
        raise UsageError(
            f"{run.path} is at step {trainer.step:,} already, beyond the {trainer.total:,} steps of --for {duration}"
        )
    if trainer.done >= 1:
        progress.say(f"{run.path} is finished at step {trainer.step:,}: nothing is left to do; --for makes it longer")


def _play(run: Run, trainer: Trainer, data: Dataset, progress: Progress) -> Outcome:
    with _stop_signals() as stopped:
        name = type(trainer.family).__name__
        progress.say(f"training {name} on {data.name}: {len(data.train):,} images, {_size(trainer)}; into {run.path}")
        with _meter(trainer, progress) as meter:
            finished = trainer.run(RunObserver(run, data, progress, meter), stopped.is_set)
    run.update_provenance(ended=now(), finished=finished, step=trainer.step, training_seconds=round(trainer.seconds, 3))
    return Outcome(run, finished, trainer.step, round(trainer.seconds, 3))


def _meter(trainer: Trainer, progress: Progress) -> AbstractContextManager[Meter]:
    """Open the progress bar of a training: over its steps, or over the seconds where it is for a time."""
    if trainer.total is not None:
        return progress.work("training", trainer.total, "steps", trainer.step)
    return progress.work("training", round(Duration.parse(trainer.settings.duration).amount), "seconds")


def _size(trainer: Trainer) -> str:
    count = sum(parameter.numel() for parameter in trainer.family.parameters())
    kind = str(trainer.precision).removeprefix("torch.")
    return f"{count:,} parameters, {kind} on {trainer.device.type}"


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event; a second one stops at once. Outside the main thread signals are left alone."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before: Mapping[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

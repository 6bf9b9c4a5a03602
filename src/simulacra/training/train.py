"""Train a family, and continue an interrupted run bit for bit."""

import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from simulacra import families
from simulacra.core.capabilities import Samples
from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT, Meter, Progress
from simulacra.core.randomness import stream
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.data.sources import located
from simulacra.engine import checkpoint, trackers
from simulacra.engine.duration import Duration
from simulacra.engine.hardware import device_of, keep_memory, precision_of
from simulacra.engine.loop import Trainer
from simulacra.engine.processes import Processes, joined
from simulacra.images.animation import write_animation
from simulacra.runs.lock import writing
from simulacra.runs.provenance import now, provenance
from simulacra.runs.run import CONFIG, Run
from simulacra.runs.settings import RunConfig
from simulacra.training.observer import NullObserver, RunObserver, tracked


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
    """Train from the beginning into a new run folder `out`; the data are loaded from the settings unless given.

    Started by torchrun, every process calls this alike; the first one alone writes and tells.
    """
    config = _settled(replace(config, data=located(config.data)))
    with joined() as processes, ExitStack() as held:
        progress = progress if processes.first else SILENT
        processes.lead(lambda: Run.refuse(out))
        processes.lead(lambda: trackers.require(trackers.chosen(config.train.track)))
        data = dataset or _load(config, processes, progress)

        def make() -> None:
            run = Run.create(out, config, provenance(data, _command()) | {"processes": processes.count})
            held.enter_context(writing(run.path))

        with stream(config.train.seed, "initialize"):
            trainer = _trainer(config, data, processes)
            processes.lead(make)
            return _play(Run(out), trainer, data, progress)


def resume(
    path: Path,
    duration: str = "",
    machine: Mapping[str, Any] | None = None,
    *,
    dataset: Dataset | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Continue a run from its newest whole checkpoint; a new `duration` lengthens or shortens it.

    machine: settings of engine.settings.OF_THE_MACHINE that differ from now on.
    """
    run = Run.open(path)
    changes = {**({"duration": duration} if duration else {}), **(machine or {})}
    config = _settled(replace(run.config, train=replace(run.config.train, **changes)))
    with joined() as processes, ExitStack() as held:
        progress = progress if processes.first else SILENT
        data = run.check_data(dataset or _load(config, processes, progress))
        _check_processes(run, data, processes)
        processes.lead(lambda: held.enter_context(writing(run.path)))
        with stream(config.train.seed, "initialize"):
            trainer = _trainer(config, data, processes)
            _restore(trainer, run, progress)
            _check_length(trainer, run, duration, progress)
            processes.lead(lambda: _reopen(run, config, trainer))
            return _play(run, trainer, data, progress)


def _check_processes(run: Run, data: Dataset, processes: Processes) -> None:
    """Refuse another number of processes for data whose order depends on it."""
    last = [run.provenance, *run.provenance.get("resumes", [])][-1]
    before = last.get("processes", 1)
    if data.stream is not None and processes.count != before:
        raise UsageError(
            f"{run.path} is trained on shards by {before} processes, each with shards of its own, so that {processes.count} "
            f"would see other images: resume it with {before}"
        )


def _reopen(run: Run, config: RunConfig, trainer: Trainer) -> None:
    """Write down that a run goes on, and forget what it reported after the step from which it does."""
    run.reports.forget_after(trainer.step if trainer.step else -1)
    config.write(run.path / CONFIG)
    again = {"time": now(), "from_step": trainer.step, "command": _command(), "processes": trainer.processes.count}
    run.update_provenance(resumes=[*run.provenance.get("resumes", []), again], finished=False)


def default_folder(config: RunConfig) -> Path:
    """Return the first folder runs/FAMILY-DATA-N that does not exist."""
    name = f"{config.family}-{config.data.title}"
    number = 1
    while Path("runs", f"{name}-{number}").exists():
        number += 1
    return Path("runs", f"{name}-{number}")


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _settled(config: RunConfig) -> RunConfig:
    """Prepare this process, and return the settings with the arithmetic named that `auto` means here."""
    keep_memory()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    precision = precision_of(config.train.precision, device_of(config.train.device))
    named: Any = str(precision).removeprefix("torch.")
    return replace(config, train=replace(config.train, precision=named))


def _load(config: RunConfig, processes: Processes, progress: Progress) -> Dataset:
    """Return the data; the first process prepares them, the others then find them prepared."""
    return processes.lead(lambda: load(config.data, progress)) or load(config.data)


def _trainer(config: RunConfig, data: Dataset, processes: Processes) -> Trainer:
    if (wanted := families.find(config.family).domains) != tuple(data.domains):
        held = f"those of {data.name} have {' and '.join(data.domains) or 'none'}"
        remedy = "give dataset=simulacra.unpaired(a=..., b=...)" if wanted else "give the data set of one"
        raise UsageError(f"{config.family} needs images with the domains {' and '.join(wanted) or 'none'}, and {held}: {remedy}")
    batch_source = data.batch_source(config.train.batch, config.train.seed, config.data.flip, processes.part)
    return Trainer(config.new_family(data.spec), batch_source, config.train, processes)


def _restore(trainer: Trainer, run: Run, progress: Progress) -> None:
    if not checkpoint.paths(run.checkpoints):
        progress.message("there is no checkpoint yet: starting from the beginning, which gives the same result")
        return
    stored, problems = run.read_checkpoint(trainer.family)
    for problem in problems:
        progress.message(f"warning: {problem}; the one before it is used")
    trainer.restore(stored)
    before = stored.facts.get("pieces", trainer.pieces)
    if before != trainer.pieces:
        progress.message(
            f"note: batches were computed in {before} pieces and now are in {trainer.pieces}, each with its own noise: the run "
            f"goes on as well, but not bit for bit as before (--accumulate {before} at the start would have kept it the same)"
        )


def _check_length(trainer: Trainer, run: Run, duration: str, progress: Progress) -> None:
    """Refuse a new duration that ends before the step already reached, and tell where nothing is left to do."""
    if duration and trainer.total is not None and trainer.total < trainer.step:
        raise UsageError(
            f"{run.path} is at step {trainer.step:,} already, beyond the {trainer.total:,} steps of --for {duration}"
        )
    if trainer.done >= 1:
        progress.message(f"{run.path} is finished at step {trainer.step:,}: nothing is left to do; --for makes it longer")


def _play(run: Run, trainer: Trainer, data: Dataset, progress: Progress) -> Outcome:
    with _stop_signals() as stopped:
        name = type(trainer.family).__name__
        progress.message(f"training {name} on {data.name}: {data.training_images:,} images, {_size(trainer)}; into {run.path}")
        with tracked(run, trainer, progress) as followers, _meter(trainer, progress) as meter:
            observer = RunObserver(run, data, progress, meter, followers) if trainer.processes.first else NullObserver()
            finished = trainer.run(observer, stopped.is_set)
    seconds = round(trainer.seconds, 3)
    facts = {"finished": finished, "step": trainer.step, "training_seconds": seconds}
    trainer.processes.lead(lambda: run.update_provenance(ended=now(), **facts))
    if finished and isinstance(trainer.family, Samples):
        trainer.processes.lead(lambda: _write_animation(run))
    return Outcome(run, finished, trainer.step, seconds)


def _write_animation(run: Run) -> None:
    with run.saving():
        write_animation(run)


def _meter(trainer: Trainer, progress: Progress) -> AbstractContextManager[Meter]:
    """Open the progress bar of a training: over its steps, or over the seconds where it is for a time."""
    if trainer.total is not None:
        return progress.task("training", trainer.total, "steps", trainer.step)
    return progress.task("training", round(Duration.parse(trainer.settings.duration).amount), "seconds")


def _size(trainer: Trainer) -> str:
    count = sum(parameter.numel() for parameter in trainer.family.parameters())
    kind = str(trainer.precision).removeprefix("torch.")
    processes = f" in {trainer.processes.count} processes" if trainer.processes.count > 1 else ""
    return f"{count:,} parameters, {kind} on {trainer.device.type}{processes}"


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

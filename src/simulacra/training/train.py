"""Trains a family into a run folder, and continues an interrupted run with the same bits."""

import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from simulacra import families
from simulacra.core.capabilities import Samples
from simulacra.core.errors import UsageError, unknown
from simulacra.core.family import Family
from simulacra.core.progress import SILENT, Meter, Progress
from simulacra.core.randomness import stream
from simulacra.data.dataset import Dataset
from simulacra.data.load import load_settled, training_batches
from simulacra.data.settings import PlacesConfig
from simulacra.data.sources import located
from simulacra.engine import checkpoint, trackers
from simulacra.engine.distributed.process_group import joined
from simulacra.engine.distributed.processes import Processes
from simulacra.engine.duration import Duration
from simulacra.engine.hardware import device_of, keep_memory, precision_of
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import OF_THE_MACHINE, OF_THE_REST
from simulacra.images.animation import write_animation
from simulacra.runs import own_families
from simulacra.runs.initial_weights import load_weights
from simulacra.runs.label_shares import untrained_labels
from simulacra.runs.lock import writing
from simulacra.runs.provenance import now, provenance
from simulacra.runs.run import Run
from simulacra.runs.settings import RunConfig
from simulacra.training.chosen_settings import LARGEST, choose, may_choose
from simulacra.training.observer import NullObserver, RunObserver, open_trackers

TRAINING = "training"  # the label of the progress of a training
_LISTED = 5  # labels in a warning, at most


@dataclass(frozen=True)
class Outcome:
    """The result of a training."""

    run: Run
    finished: bool
    step: int
    seconds: float

    def table(self) -> dict[str, Any]:
        """Return the outcome for JSON."""
        return {"run": str(self.run.path), "finished": self.finished, "step": self.step, "training_seconds": self.seconds}


def train(
    config: RunConfig, out: Path, dataset: Dataset | None = None, progress: Progress = SILENT, *, start: Path | None = None
) -> Outcome:
    """Train from the beginning into a new run folder `out`; the data are loaded from the settings unless given.

    start: a run of the same family whose weights the training begins with. With torchrun every process calls it; only the first
    writes and reports. Raises UsageError, DataError, NonFiniteError.
    """
    config = _prepare_process(replace(config, data=located(config.data, progress)))
    with joined() as processes, ExitStack() as held:
        progress = progress if processes.first else SILENT
        processes.lead(lambda: Run.refuse(out))
        processes.lead(lambda: trackers.require(trackers.chosen(config.train.track)))
        config, data = (config, dataset) if dataset else _load(config, processes, progress)
        config = choose(config, data, progress) if may_choose(config, dataset) else config

        def create() -> None:
            facts = {"processes": processes.count, **own_families.facts(config.family), **source}
            run = Run.create(out, config, provenance(data, _command()) | facts)
            held.enter_context(writing(run.path))
            own_families.keep(config.family, run.path)

        with stream(config.train.seed, "initialize"):
            trainer, source = _trainer(config, data, processes, start)
            processes.lead(create)
            return _run(Run(out), trainer, data, progress)


def resume(
    path: Path,
    duration: str = "",
    settings: Mapping[str, Any] | None = None,
    *,
    dataset: Dataset | None = None,
    places: PlacesConfig | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Continue a run from its newest intact checkpoint.

    duration: the new total duration of the training, unless empty; settings: those of OF_THE_MACHINE and OF_THE_REST to change
    for the rest of the training; places: of the data if they were moved, which the settings of the run contain from then on.
    Raises UsageError, DataError, DamagedCheckpoint, NonFiniteError.
    """
    run = Run.open(path)
    run.move_data(places or PlacesConfig())
    changes = {**({"duration": duration} if duration else {}), **(settings or {})}
    for name in changes:
        if name not in {"duration", *OF_THE_MACHINE, *OF_THE_REST}:
            raise unknown("setting of a resumed run", name, ("duration", *OF_THE_REST, *OF_THE_MACHINE))
    config = _prepare_process(replace(run.config, train=replace(run.config.train, **changes)))
    with joined() as processes, ExitStack() as held:
        progress = progress if processes.first else SILENT
        if difference := own_families.difference(run.provenance):
            progress.message(f"warning: {difference}")
        data = run.check_data(dataset or processes.lead(lambda: run.load_data(progress)) or run.load_data())
        _check_processes(run, data, processes)
        processes.lead(lambda: held.enter_context(writing(run.path)))
        with stream(config.train.seed, "initialize"):
            trainer, _ = _trainer(config, data, processes)
            _restore(trainer, run, progress)
            _check_length(trainer, run, duration, progress)
            processes.lead(lambda: _reopen(run, config, trainer))
            return _run(run, trainer, data, progress)


def _check_processes(run: Run, data: Dataset, processes: Processes) -> None:
    """Raise UsageError for another number of processes if the order of the data depends on it."""
    last = [run.provenance, *run.provenance.get("resumes", [])][-1]
    before = last.get("processes", 1)
    if data.stream is not None and processes.count != before:
        raise UsageError(
            f"{run.path} is trained on shards by {before} processes, each with its own shards, and {processes.count} processes "
            f"would train on other images: resume it with {before}"
        )


def _reopen(run: Run, config: RunConfig, trainer: Trainer) -> None:
    run.reports.forget_after(trainer.step if trainer.step else -1)
    before, after = run.config.train.table(), config.train.table()
    run.change_config(config)
    entry = {"time": now(), "from_step": trainer.step, "command": _command(), "processes": trainer.processes.count}
    names = ("duration", *OF_THE_REST)
    if changes := {name: [before[name], after[name]] for name in names if before[name] != after[name]}:
        entry["changes"] = changes
    run.update_provenance(resumes=[*run.provenance.get("resumes", []), entry], finished=False)


def default_folder(config: RunConfig, dataset: Dataset | None = None) -> Path:
    """Return the first folder runs/FAMILY-DATA-N that does not exist, with the name of a data set where one is given."""
    title = Path(dataset.name).name.replace(" ", "-") if dataset else config.data.title
    paths = (Path("runs", f"{config.family}-{title}-{number}") for number in count(1))
    return next(path for path in paths if not path.exists())


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _prepare_process(config: RunConfig) -> RunConfig:
    """Set the allocator and the threads of this process, and return the settings with the precision that `auto` selects."""
    keep_memory()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    precision = precision_of(config.train.precision, device_of(config.train.device))
    name: Any = str(precision).removeprefix("torch.")
    return replace(config, train=replace(config.train, precision=name))


def _load(config: RunConfig, processes: Processes, progress: Progress) -> tuple[RunConfig, Dataset]:
    """Return the settings as used and the data; the first process prepares them, and the others then load what is prepared."""
    largest = LARGEST if may_choose(config) and "size" not in (config.given or ()) else 0
    settings, data = processes.lead(lambda: load_settled(config.data, progress, largest)) or load_settled(
        config.data, SILENT, largest
    )
    return replace(config, data=settings), data


def _trainer(config: RunConfig, data: Dataset, processes: Processes, start: Path | None = None) -> tuple[Trainer, dict[str, Any]]:
    """Return the trainer, and where its weights come from if from the run `start`."""
    if (wanted := families.find(config.family).domains) != tuple(data.domains):
        available = f"{data.name} has {' and '.join(data.domains) or 'none'}"
        remedy = "give dataset=simulacra.unpaired(a=..., b=...)" if wanted else "give the data set of one"
        raise UsageError(
            f"{config.family} needs images with the domains {' and '.join(wanted) or 'none'}, and {available}: {remedy}"
        )
    settings = config.train
    family = config.new_family(data.spec)
    source = load_weights(family, start) if start else {}
    if settings.labels and not family.accepts_unlabelled:
        refused = f"--labels {settings.labels} leaves images without labels, which this {type(family).__name__} cannot train on"
        raise UsageError(f"{refused}: leave it out, or train a semi-supervised model (--semi-supervised)")
    if settings.patience:
        _require_validation(family, data)
    batch_source = training_batches(data, settings.batch, settings.seed, config.data.flip, processes.part, settings.labels)
    return Trainer(family, batch_source, settings, processes), source


def _require_validation(family: Family, data: Dataset) -> None:
    """Raise UsageError unless a validation loss measures the progress of the family."""
    if len(family.players()) > 1:
        raise UsageError(
            f"--patience needs a validation loss that falls as the model improves, and those of {type(family).__name__}, whose "
            "players compete, do not: leave --patience out"
        )
    if not len(data.validation):
        raise UsageError(f"--patience needs validation images, and {data.name} has none: add --validation 0.1")


def _restore(trainer: Trainer, run: Run, progress: Progress) -> None:
    if not checkpoint.paths(run.checkpoints):
        progress.message("there is no checkpoint yet: training from the beginning, with the same result")
        return
    stored, problems = run.read_checkpoint(trainer.family)
    for problem in problems:
        progress.message(f"warning: {problem}; the previous one is used")
    if "batch" not in stored.facts and run.config.train.batch != trainer.settings.batch:
        raise UsageError(
            f"{run.path} was written by an earlier version of Simulacra, which did not record its batch size: resume it once "
            f"with --batch {run.config.train.batch}, and then with another"
        )
    trainer.restore(stored)
    before, now_in = stored.facts["micro_batches"], trainer.placement.total_micro_batches
    if before != now_in:
        progress.message(
            f"note: each batch was computed in {before} micro-batches and is now computed in {now_in}, each with its own random "
            f"numbers: training continues, but not with the same bits (--accumulate {before} from the beginning avoids this)"
        )


def _check_length(trainer: Trainer, run: Run, duration: str, progress: Progress) -> None:
    """Raise UsageError for a new duration that ends before the present step; report a run that is finished."""
    if duration and trainer.total is not None and trainer.total < trainer.step:
        raise UsageError(
            f"{run.path} is already at step {trainer.step:,}, beyond the {trainer.total:,} steps of --for {duration}"
        )
    if trainer.done >= 1:
        progress.message(f"{run.path} is finished at step {trainer.step:,}; --for with a longer duration continues it")


def _run(run: Run, trainer: Trainer, data: Dataset, progress: Progress) -> Outcome:
    with _stop_signals() as stopped:
        name = type(trainer.family).__name__
        progress.message(f"training {name} on {data.name}: {data.training_images:,} images, {_size(trainer)}; into {run.path}")
        if warning := _untrained(trainer.family, data):
            progress.message(f"warning: {warning}")
        with open_trackers(run, trainer, progress) as tracking, _meter(trainer, progress) as meter:
            observer = RunObserver(run, data, progress, meter, tracking) if trainer.processes.first else NullObserver()
            finished = trainer.run(observer, stopped.is_set)
    seconds = round(trainer.seconds, 3)
    facts = {"finished": finished, "step": trainer.step, "training_seconds": seconds}
    trainer.processes.lead(lambda: run.update_provenance(ended=now(), **facts))
    if finished and isinstance(trainer.family, Samples):
        trainer.processes.lead(lambda: run.saving()(write_animation)(run))
    return Outcome(run, finished, trainer.step, seconds)


def _untrained(family: Family, data: Dataset) -> str:
    """Return a warning of labels that a conditional model generates but no training image has; empty without any."""
    if not family.label_sizes or not (missing := untrained_labels(data)):
        return ""
    names = ", ".join(missing[:_LISTED]) + (f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else "")
    return (
        f"no training image has the label {names}: generated images of these labels are arbitrary. Sample with --label and a "
        "label that has images, or train on data without the others"
    )


def _meter(trainer: Trainer, progress: Progress) -> AbstractContextManager[Meter]:
    """Open the progress bar of a training: over its steps, or over seconds if its duration is a time."""
    if trainer.total is not None:
        return progress.task(TRAINING, trainer.total, "steps", trainer.step)
    return progress.task(TRAINING, round(Duration.parse(trainer.settings.duration).amount), "seconds")


def _size(trainer: Trainer) -> str:
    parameters = sum(parameter.numel() for parameter in trainer.family.parameters())
    kind = str(trainer.precision).removeprefix("torch.")
    processes = f" in {trainer.processes.count} processes" if trainer.processes.count > 1 else ""
    return f"{parameters:,} parameters, {kind} on {trainer.device.type}{processes}"


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event; a second signal interrupts. Outside the main thread signals are unchanged."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    handled = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before: Mapping[int, Any] = {number: signal.signal(number, stop) for number in handled}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

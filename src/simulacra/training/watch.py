"""The status of a run from the files in its folder, also while another process trains it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulacra.engine.duration import Duration
from simulacra.runs.lock import is_written
from simulacra.runs.run import Run
from simulacra.training.monitors import TrainingHistory, TrainingWarning, training_warnings


@dataclass(frozen=True)
class RunStatus:
    """The status of a run.

    state: training, finished or stopped; share: fraction of the training that is done, None before the first report; losses: by
    `player/part`, from the last report; validation: the same on validation images; diversity: diversity and distinctness of
    generated images, at the last validation of the trained model.
    """

    state: str
    step: int
    epochs: float
    seconds: float
    images_per_second: float
    share: float | None
    losses: dict[str, float]
    validation: dict[str, float]
    diversity: dict[str, float]
    training_warnings: tuple[TrainingWarning, ...]


def run_status(run: Run) -> RunStatus:
    """Return the status of a run from its reports, its provenance and its lock."""
    records = run.reports.read()
    train, validation = _last(records, "train"), _last(records, "validation")
    provenance = run.read_provenance()
    finished = bool(provenance.get("finished"))
    state = "training" if is_written(run.path) else "finished" if finished else "stopped"
    losses, validation_losses = ({name: value for name, value in record.items() if "/" in name} for record in (train, validation))
    share = 1.0 if finished and state == "finished" else _share(run, train)
    return RunStatus(
        state,
        max(
            int(train.get("step", 0)),
            int(validation.get("step", 0)),
            0 if state == "training" else int(provenance.get("step", 0)),
        ),
        float(train.get("epochs", 0.0)),
        float(train.get("seconds", 0.0)),
        float(train.get("images_per_second", 0.0)),
        share,
        losses,
        validation_losses,
        {name: validation[name] for name in ("diversity", "distinctness") if name in validation and validation["step"]},
        training_warnings(TrainingHistory.of(run, share or 0.0)),
    )


def watch(run: Run, every: float, display: Callable[[RunStatus], None]) -> RunStatus:
    """Call `display` every `every` seconds until no process trains the run; return its last status."""
    while True:
        status = run_status(run)
        display(status)
        if status.state != "training":
            return status
        time.sleep(every)


def _last(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((record for record in reversed(records) if record["kind"] == kind), {})


def _share(run: Run, train: dict[str, Any]) -> float | None:
    """Return the fraction of the training that is done, from the last report; None before the first."""
    if not train:
        return None
    duration = Duration.parse(run.config.train.duration)
    done = train["step" if duration.unit == "steps" else duration.unit]
    return min(1.0, float(done) / duration.amount)

"""Follow a run that another process trains, from what stands in its folder alone."""

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
    """Where a run stands. state: training, finished or stopped; losses by `player/part`, as last reported.

    varied: diversity and distinctness of what it generates, at the last look.
    """

    state: str
    step: int
    epochs: float
    seconds: float
    images_per_second: float
    share: float | None
    losses: dict[str, float]
    validation: dict[str, float]
    varied: dict[str, float]
    training_warnings: tuple[TrainingWarning, ...]


def run_status(run: Run) -> RunStatus:
    """Return where a run stands, from its reports, its provenance and its lock."""
    records = run.reports.read()
    train, validation = _last(records, "train"), _last(records, "validation")
    finished = bool(run.read_provenance().get("finished"))
    state = "training" if is_written(run.path) else "finished" if finished else "stopped"
    share = 1.0 if finished and state == "finished" else _share(run, train)
    return RunStatus(
        state,
        int(train.get("step", 0)),
        float(train.get("epochs", 0.0)),
        float(train.get("seconds", 0.0)),
        float(train.get("images_per_second", 0.0)),
        share,
        _losses(train),
        _losses(validation),
        {name: validation[name] for name in ("diversity", "distinctness") if name in validation},
        training_warnings(TrainingHistory.of(run, share or 0.0)),
    )


def watch(run: Run, every: float, shown: Callable[[RunStatus], None]) -> RunStatus:
    """Call `shown` every so many seconds until the run is no longer written; return its last standing."""
    while True:
        now = run_status(run)
        shown(now)
        if now.state != "training":
            return now
        time.sleep(every)


def _last(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((record for record in reversed(records) if record["kind"] == kind), {})


def _losses(record: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in record.items() if "/" in name}


def _share(run: Run, train: dict[str, Any]) -> float | None:
    """Return the share of the training that is done; None before the first report, from which it is reckoned."""
    if not train:
        return None
    duration = Duration.parse(run.config.train.duration)
    done = {
        "steps": train["step"],
        "epochs": train["epochs"],
        "images": train["images"],
        "seconds": train["seconds"],
    }[duration.unit]
    return min(1.0, float(done) / duration.amount)

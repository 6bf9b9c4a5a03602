"""The plan of a training for a time: about how many steps fit, by the time of the first ones, and what to change if few do."""

from simulacra.core.batch import DataSpec
from simulacra.engine.duration import Duration
from simulacra.engine.loop import Trainer
from simulacra.training.snapshot_size import SnapshotBudget

_STEPS, _SHARE = 4, 0.03  # the first steps, which measure the time of one: so many, or so long, as a fraction of the duration
_FEW, _USEFUL = 200, 1000  # steps: fewer are too few for most models, so many give an impression
_SMALL_SIDE, _SMALL_BATCH = 32, 16  # at which a smaller size, or batch, is not advised


def is_measured(trainer: Trainer) -> bool:
    """Return whether enough steps have been timed for a plan."""
    amount = Duration.parse(trainer.settings.duration).amount
    return trainer.step >= _STEPS or trainer.seconds >= _SHARE * amount


def time_plan(trainer: Trainer, budget: SnapshotBudget, spec: DataSpec) -> str:
    """Return the number of steps and snapshots that fit, and a remedy if they are few. Steps have been timed."""
    amount = Duration.parse(trainer.settings.duration).amount
    snapshots = max(1, budget.number(trainer.time.observed))  # at the end, as small as it must be
    left = trainer.time.limit(amount) - trainer.seconds - budget.seconds * (snapshots - 1)
    steps = trainer.step + max(0, round(left / trainer.time.step))
    number = f"{steps:,} step{'s' * (steps != 1)} of {trainer.time.step:.2g} s"
    plan = f"plan: about {number} in {_time(amount)}, with {_pictures(budget, snapshots)}"
    if steps >= _FEW:
        return plan
    longer = amount * _USEFUL / max(1, steps)
    smaller = ["a smaller --size"] if max(spec.height, spec.width) > _SMALL_SIDE else []
    smaller += ["a smaller --batch"] if trainer.settings.batch > _SMALL_BATCH else []
    remedy = " or ".join([*smaller, f"a longer --for ({_USEFUL:,} steps take about {_time(longer)})"])
    return f"{plan}. That is too few steps for a useful result: choose {remedy}"


def _pictures(budget: SnapshotBudget, snapshots: int) -> str:
    if budget.size is None:
        return "no snapshots, which would take more than a tenth of the time"
    number = f"{snapshots} snapshot{'s' * (snapshots > 1)}"
    if not budget.size.pictures:
        return f"{number} without images, which would take more than a tenth of the time"
    images = f"{budget.size.pictures} image{'s' * (budget.size.pictures != 1)}"
    return number + (f" of {images}, so that they take at most a tenth of the time" if budget.is_reduced else "")


def _time(seconds: float) -> str:
    """Return a duration in words.

    >>> _time(90), _time(600), _time(9000)
    ('90 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

"""Early stopping: functions of the validation losses in the reports of a training, so that a resume finds the same."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def validation_losses(records: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Return the validation losses of a model with one player by step, of the trained model; empty for several players.

    Losses that are not finite are infinite.
    """
    validations = [record for record in records if record["kind"] == "validation" and record["step"] > 0]
    names = {name for record in validations for name in record if name.endswith("/loss")}
    if len(names) != 1:
        return {}
    (name,) = names
    values = {record["step"]: float(record[name]) for record in validations if name in record}
    return {step: value if math.isfinite(value) else math.inf for step, value in values.items()}


def best_step(losses: Mapping[int, float]) -> int | None:
    """Return the step with the lowest loss, the first of several; None if there is no finite loss.

    >>> best_step({100: 0.5, 200: 0.3, 300: 0.3})
    200
    """
    finite = {step: loss for step, loss in losses.items() if math.isfinite(loss)}
    return min(finite, key=lambda step: (finite[step], step), default=None)


def has_no_progress(losses: Mapping[int, float], patience: int) -> bool:
    """Return whether the last `patience` losses are all at least as high as the lowest before them; False if patience is 0.

    >>> has_no_progress({100: 0.5, 200: 0.3, 300: 0.4}, 1), has_no_progress({100: 0.5, 200: 0.3, 300: 0.4}, 2)
    (True, False)
    """
    best = best_step(losses)
    return bool(patience) and best is not None and sum(step > best for step in losses) >= patience

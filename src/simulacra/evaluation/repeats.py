"""Repeated trainings: the spread of numbers over runs that differ in the seed of their training alone."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulacra.evaluation.ranking import Ranking
from simulacra.runs.settings import RunConfig

# settings that have no effect on what a training computes, or on which images
_WITHOUT_EFFECT = ("train.seed", "train.device", "train.threads", "train.checkpoint_every", "train.keep", "train.log_every",
                   "train.track")  # fmt: skip
_SNAPSHOTS = "train.snapshots"  # choose the weights to evaluate under early stopping, and have no effect otherwise


@dataclass(frozen=True)
class Repeats:
    """Runs of equal settings but for the seed; spread: mean and standard deviation of each number over these runs."""

    runs: tuple[str, ...]
    spread: Mapping[str, tuple[float, float]]

    def table(self) -> dict[str, Any]:
        """Return the JSON object."""
        metrics = {name: {"mean": mean, "standard_deviation": spread} for name, (mean, spread) in self.spread.items()}
        return {"runs": list(self.runs), "metrics": metrics}


def repeats_of(configs: Mapping[str, RunConfig], rankings: Sequence[Ranking]) -> tuple[Repeats, ...]:
    """Return the spread of each number that all runs of a group have under equal conditions, for groups of two seeds or more.

    The standard deviation has n - 1 in the denominator: it is that of a single training.
    """
    groups: dict[str, dict[object, str]] = {}
    for run, config in configs.items():
        unused = _WITHOUT_EFFECT if config.train.patience else (*_WITHOUT_EFFECT, _SNAPSHOTS)
        settings = {name: value for name, value in config.flat().items() if name not in unused}
        groups.setdefault(json.dumps(settings, sort_keys=True, default=str), {}).setdefault(config.train.seed, run)
    found = []
    for runs in (tuple(group.values()) for group in groups.values() if len(group) > 1):
        values = {ranking.metric: [place.measurement.value for place in map(ranking.of, runs) if place] for ranking in rankings}
        spread = {
            ranking.metric: (statistics.mean(values[ranking.metric]), statistics.stdev(values[ranking.metric]))
            for ranking in rankings
            if not ranking.refused and len(values[ranking.metric]) == len(runs)
        }
        found.append(Repeats(runs, spread))
    return tuple(found)

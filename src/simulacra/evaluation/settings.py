"""Settings of an evaluation: those that metrics share, and the options that each metric declares."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from functools import cache
from typing import Any

from simulacra.core.capabilities import SamplesIteratively
from simulacra.core.condition import AcceptsCondition
from simulacra.core.config import option, options
from simulacra.core.text import comma_separated
from simulacra.metrics import find, registered
from simulacra.metrics.metric import Metric
from simulacra.metrics.settings import SharedSettings
from simulacra.runs.applicable import Requirement, missing, require_applicable
from simulacra.runs.generation import PLAN_SETTINGS

_ALWAYS = ("split", "metrics", "seed")  # settings that apply to all models
AMOUNTS = frozenset({"samples", "particles", "extractor", "extractor_seed", "seed"})
"""Settings that scripts pass to the evaluation of different families; Python accepts them for every model."""


def evaluate_config() -> type[SharedSettings]:
    """Return the Config class of `evaluate` and `compare`: the shared settings and every metric's options.

    Raises TypeError where two of them have the same name.
    """
    return _composed(registered())


def evaluation_settings(values: Mapping[str, object], where: str = "settings") -> SharedSettings:
    """Return the settings with these values; an unknown name is a UsageError that suggests the nearest."""
    return evaluate_config().of(values, where)


def selected(settings: SharedSettings) -> tuple[Metric, ...]:
    """Return the metrics that the settings name, all by default; raises UsageError for an unknown name."""
    names = comma_separated(settings.metrics)
    chosen = [find(name) for name in names]
    return tuple(metric for metric in registered() if not names or metric in chosen)


# --- which settings apply to a model


def setting_needs() -> dict[str, tuple[Requirement, ...]]:
    """Return for each setting that does not apply to all models the requirements of which a model needs one.

    A metric's own options need what the metric needs; shared settings need what one of the metrics that use them needs.
    """
    needs: dict[str, tuple[Requirement, ...]] = dict.fromkeys(PLAN_SETTINGS, (SamplesIteratively,))
    for metric in registered():
        own = [item.name for item in _own_options(metric)]
        for name in {*metric.settings, *own} - {*_ALWAYS}:
            need = metric.needs[-1 if name in own else 0]
            needs[name] = tuple(dict.fromkeys((*needs.get(name, ()), need)))
    return needs


def settings_for(model: AcceptsCondition | type) -> tuple[str, ...]:
    """Return the names of the settings that apply to a model, or to a class of models, in the order of `evaluate_config`."""
    needs = setting_needs()
    return tuple(item.name for item in options(evaluate_config()) if not missing(model, needs.get(item.name, ())))


def require_applicable_to_one(settings: SharedSettings, models: Sequence[AcceptsCondition]) -> None:
    """Raise NotApplicable for a setting that differs from its default and applies to none of several models."""
    given = [item.name for item in options(type(settings)) if getattr(settings, item.name) != item.default]
    needs = {name: need for name, need in setting_needs().items() if name in given and name not in AMOUNTS}
    for name, need in needs.items():
        if all(missing(model, need) for model in models):
            require_applicable(models[0], [name], {name: need})


# --- the composed class


@cache
def _composed(metrics: tuple[Metric, ...]) -> type[SharedSettings]:
    own = [item for metric in metrics for item in _own_options(metric)]
    names = [item.name for item in (*dataclasses.fields(SharedSettings), *own)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise TypeError(f"several metrics declare an option {min(twice)!r}, expected different names")
    known = ", ".join(metric.name for metric in metrics)
    chosen = option("", f"names of the metrics to measure, separated by commas; empty: all that apply. Known: {known}")
    fields: list[tuple[str, Any, Any]] = [("metrics", str, chosen)]
    fields += [(item.name, item.type, field(default=item.default, metadata=item.metadata)) for item in own]
    return make_dataclass("EvaluateConfig", fields, bases=(SharedSettings,), frozen=True)


def _own_options(metric: Metric) -> "tuple[dataclasses.Field[Any], ...]":
    kind: Any = metric.options
    return () if kind is None else dataclasses.fields(kind)

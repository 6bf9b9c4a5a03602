"""Settings of an evaluation: those that metrics share, and the options that each metric declares."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from functools import cache
from typing import Any

from simulacra import families
from simulacra.core.capabilities import SamplesIteratively, supports
from simulacra.core.config import Config, option, options
from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.metrics import find, registered
from simulacra.metrics.metric import Metric
from simulacra.metrics.settings import SharedSettings

_ALWAYS = ("split", "metrics", "seed")  # settings that apply to all models
_SAMPLING = ("sampler", "steps", "guidance_scale", "precision")  # settings of the sampling plan


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
    names = [name.strip() for name in settings.metrics.split(",") if name.strip()]
    chosen = {find(name).name for name in names}
    return tuple(metric for metric in registered() if not names or metric.name in chosen)


# --- which settings apply to a model


def settings_for(model: Family | type[Family]) -> tuple[str, ...]:
    """Return the names of the settings that apply to a model or a family, in the order of `evaluate_config`."""
    kind = model if isinstance(model, type) else type(model)
    return tuple(item.name for item in options(evaluate_config()) if _applies(item.name, kind))


def require_applicable(settings: SharedSettings, models: Sequence[tuple[str, Family]]) -> None:
    """Raise UsageError for a setting that differs from its default and applies to none of the models.

    models: each with the name of its family.
    """
    for item in options(type(settings)):
        given = getattr(settings, item.name) != item.default
        if given and not any(_applies(item.name, type(model)) for _, model in models):
            fitting = [name for name in families.names() if _applies(item.name, families.find(name))]
            known = f"applies to {', '.join(fitting)}" if fitting else "applies to no installed family"
            raise UsageError(f"--{item.flag} {known}, and this run is a {' or a '.join(dict(models))}")


def _applies(setting: str, kind: type) -> bool:
    if setting in _ALWAYS:
        return True
    if setting in _SAMPLING:
        return supports(kind, SamplesIteratively)
    return any(setting in _settings_of(metric) and all(supports(kind, need) for need in metric.needs) for metric in registered())


def _settings_of(metric: Metric) -> set[str]:
    return {*metric.settings, *(item.name for item in _own_options(metric))}


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
    fields += [(item.name, item.type, _copied(item)) for item in own]
    return make_dataclass("EvaluateConfig", fields, bases=(SharedSettings,), frozen=True)


def _own_options(metric: Metric) -> "tuple[dataclasses.Field[Any], ...]":
    return () if metric.options is None else dataclasses.fields(_dataclass(metric.options))


def _dataclass(kind: type[Config]) -> Any:
    return kind


def _copied(item: "dataclasses.Field[Any]") -> Any:
    return dataclasses.field(default=item.default, metadata=item.metadata)

"""Evaluation metrics: one file per metric, in this folder or in one of its folders, found by its METRIC."""

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from simulacra.core.errors import unknown
from simulacra.metrics.metric import Metric, Quantity


def registered() -> tuple[Metric, ...]:
    """Return the METRIC of every module of this folder, and of folders in it, that defines one, in ascending order of cost."""
    return _registered(tuple(__path__))


def find(name: str) -> Metric:
    """Return the metric of this name; raises UsageError that suggests the nearest."""
    known = {metric.name: metric for metric in registered()}
    if name not in known:
        raise unknown("metric", name, known)
    return known[name]


def quantity(name: str) -> Quantity:
    """Return the description of a reported number; one that no metric reports is described by its name alone."""
    return quantities().get(name) or Quantity(name, name.replace("_", " "), "neither", "")


def quantities() -> dict[str, Quantity]:
    """Return the description of every number by its name in JSON, in the order in which tables list them."""
    # a name that several metrics report has the place of the first
    return {item.name: item for metric in registered() for item in metric.quantities}


def in_table_order(names: Iterable[str]) -> list[str]:
    """Return names of numbers in the order of tables; those that no metric reports come last, in alphabetical order."""
    present, order = set(names), quantities()
    return [name for name in order if name in present] + sorted(present - set(order))


def conditions(name: str, protocol: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a number's protocol that must be equal where two such numbers are compared."""
    details = {"few_samples"}.union(*(metric.details for metric in registered() if metric.reports(name)))  # sizes are compared
    return {key: value for key, value in protocol.items() if key not in details}


@cache
def _registered(path: tuple[str, ...]) -> tuple[Metric, ...]:
    modules = [import_module(found.name) for found in pkgutil.walk_packages(path, f"{__name__}.")]
    found: list[Metric] = [vars(module)["METRIC"] for module in modules if "METRIC" in vars(module)]
    return tuple(sorted(found, key=lambda metric: (metric.order, metric.name)))

"""Sections of the run report that metrics contribute, from the newest evaluation."""

from simulacra.core.errors import SimulacraError
from simulacra.core.text import quoted
from simulacra.evaluation.metric_table import Evaluation
from simulacra.images.section import ReportSection
from simulacra.metrics import registered
from simulacra.metrics.metric import Metric, MetricResults, Section
from simulacra.runs.applicable import missing
from simulacra.runs.opened import OpenedRun


def evaluation_sections(opened: OpenedRun, evaluation: Evaluation | None, problem: str = "") -> list[ReportSection]:
    """Return the sections of all metrics that apply to the model; `missing` gives the reason for one without figures.

    problem: why the data cannot be used, empty where they can.
    """
    found = [
        _section(metric.section, metric, opened, _results(metric, opened, evaluation, problem))
        for metric in registered()
        if metric.section is not None and not any(missing(opened.model, (need,)) for need in metric.needs)
    ]
    return sorted((section for section in found if section is not None), key=lambda section: section.order)


def _section(section: Section, metric: Metric, opened: OpenedRun, results: MetricResults) -> ReportSection | None:
    try:
        return section(opened, results)
    except SimulacraError as error:
        return section(opened, MetricResults({}, {metric.name: str(error)}))


def _results(metric: Metric, opened: OpenedRun, evaluation: Evaluation | None, problem: str) -> MetricResults:
    """Return the results of one metric in an evaluation, or the reason why there are none."""
    if evaluation is None:
        problem = f"the model is not evaluated yet: use `simulacra evaluate {quoted(opened.run.path)}`"
    elif evaluation.weights != opened.digest:
        problem = f"the evaluation is of an earlier checkpoint: repeat `simulacra evaluate {quoted(opened.run.path)}`"
    if evaluation is None or problem:
        return MetricResults({}, {metric.name: problem})
    measurements = {name: item for name, item in evaluation.measurements.items() if metric.reports(name)}
    reasons = {name: why for name, why in evaluation.missing.items() if name == metric.name or metric.reports(name)}
    artifacts = evaluation.artifacts.get(metric.name, {})
    if not (measurements or reasons or artifacts):
        reasons = {metric.name: "the evaluation did not measure it"}
    return MetricResults(measurements, reasons, artifacts)

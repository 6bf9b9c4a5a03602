"""Evaluation of a trained model: measures all metrics that apply, each once for a checkpoint and its settings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from simulacra.core.errors import DataError, NotApplicable
from simulacra.core.eval_mode import inference_mode
from simulacra.core.files import require_writable, write_json
from simulacra.core.finite import require_finite_weights
from simulacra.core.launch import alone
from simulacra.core.progress import SILENT, Progress
from simulacra.engine.distributed.processes import SHARED_FILES, Processes
from simulacra.evaluation.expected_time import extractor_seconds, in_words, measuring_seconds
from simulacra.evaluation.result_cache import digest, read_results, result_file, write_results, write_scores
from simulacra.evaluation.settings import selected
from simulacra.evaluation.summary import summary
from simulacra.evaluation.warnings import evaluation_warnings
from simulacra.features.loading import why_not
from simulacra.features.training import NotTrained
from simulacra.images.files import make_folder
from simulacra.metrics.context import NO_EXTRACTOR, NO_SAMPLES, EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.settings import SharedSettings
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.applicable import absence, missing
from simulacra.runs.opened import OpenedRun, sharing_run
from simulacra.runs.provenance import now
from simulacra.runs.run import Run

_ELSEWHERE = MetricResults({})  # in place of results that only the first of several processes has
_REMEDIES = {"test": "train on more images, or give --test-path", "validation": "train on more images, or with --validation"}


def evaluate(opened: OpenedRun, settings: SharedSettings, progress: Progress) -> dict[str, Any]:
    """Return and store the numbers of all metrics that apply, reasons for missing ones, and warnings.

    Cached results are not measured again. With torchrun every process calls it, and measures its part of the images; only the
    first writes and reports. Raises UsageError for an invalid sampling plan or an unknown metric, DataError where there are no
    images to measure on, NonFiniteError for weights or generated images that are infinite or NaN.
    """
    require_finite_weights(opened.model)
    with sharing_run(opened) as processes:
        processes.lead(lambda: require_writable(opened.run.evaluations))
        processes.lead(lambda: opened.dataset)  # the first prepares the data, the others load what is prepared
        return _evaluate(EvaluationContext(opened, settings, progress if processes.first else SILENT), processes)


def _evaluate(context: EvaluationContext, processes: Processes) -> dict[str, Any]:
    """Evaluate together with other processes."""
    opened, settings = context.opened, context.settings
    if len(context.split) == 0:
        raise DataError(f"{opened.dataset.name} has no {settings.split} images to measure on: {_REMEDIES[settings.split]}")
    reasons = {metric.name: why for metric in selected(settings) if (why := _not_applicable(metric, context))}
    plan = [metric for metric in selected(settings) if metric.name not in reasons]
    stored, untrained = _stored(plan, context)
    processes.require_same(sorted(missing.kind for missing in untrained), "trained feature extractors", SHARED_FILES)
    cached = processes.from_first(lambda: list(stored))
    if processes.first:
        with alone():
            _announce(plan, stored, untrained, context, processes.count)
    found: dict[str, MetricResults] = {}
    for metric in plan:
        known = stored.get(metric.name, _ELSEWHERE) if metric.name in cached else None
        found[metric.name] = known or _measured(metric, context, processes)
    result: dict[str, Any] = processes.from_first(lambda: _written(context, found, reasons))
    return result


def _written(context: EvaluationContext, found: Mapping[str, MetricResults], reasons: dict[str, str]) -> dict[str, Any]:
    """Write the results of all metrics into the run folder, and return them; reasons: of the metrics that do not apply."""
    opened, settings = context.opened, context.settings
    metrics: dict[str, Measurement] = {}
    for results in found.values():
        metrics |= results.measurements
        reasons |= results.missing
    artifacts = {name: results.artifacts for name, results in found.items() if results.artifacts}
    result = {**_facts(context), "settings": settings.table(), "evaluated": now()}
    result["metrics"] = {name: item.table() for name, item in metrics.items()}
    warnings = evaluation_warnings(metrics, opened.spec.dimensions, opened.step)
    images = f"{len(context.split):,} {settings.split} images of {opened.dataset.name}"
    about = summary(opened, metrics, reasons, warnings, images)
    result |= {"summary": list(about.sentences), "next": about.command}
    result |= {"not_applicable": reasons, "warnings": warnings, "artifacts": artifacts}
    make_folder(opened.run.evaluations)
    path = opened.run.evaluations / f"step_{opened.step:08d}-{digest(settings.table())[:8]}.json"
    result["scores"] = path.with_suffix(".npz").name
    write_scores(path.with_suffix(".npz"), metrics)
    write_json(path, result)
    return result


def _not_applicable(metric: Metric, context: EvaluationContext) -> str:
    for need in metric.needs:
        if missing(context.model, (need,)):
            return absence(need)
    if reason := metric.not_applicable(context):
        return reason
    if "samples" not in metric.settings and "labels" in context.model.accepts and context.split.labels is None:
        return f"the {context.split.name} images have no labels, on which the model is conditional"
    if "samples" in metric.settings and context.settings.samples == 0:
        return NO_SAMPLES
    if "extractor" not in metric.settings:
        return ""
    return NO_EXTRACTOR if context.extractor_name == "none" else why_not(context.extractor_name, context.opened.dataset)


def _stored(plan: Sequence[Metric], context: EvaluationContext) -> tuple[dict[str, MetricResults], list[NotTrained]]:
    """Return the cached results by the names of metrics, and the feature extractors that have to be trained for the others."""
    found: dict[str, MetricResults] = {}
    untrained: dict[tuple[str, str], NotTrained] = {}
    context.cached_only = True
    for metric in plan:
        try:
            if results := read_results(result_file(metric, context)):
                found[metric.name] = results
        except NotTrained as missing:
            untrained[missing.kind, missing.data.digest] = missing
    context.cached_only = False
    return found, list(untrained.values())


def _announce(
    plan: Sequence[Metric],
    stored: Collection[str],
    untrained: Sequence[NotTrained],
    context: EvaluationContext,
    processes: int,
) -> None:
    """Report the expected time, what is cached, and what is measured now, with its cost."""
    progress, ahead = context.progress, [metric for metric in plan if metric.name not in stored]
    if ahead and progress is not SILENT:
        progress.message(_expected_time(ahead, untrained, context, processes))
    if stored:
        progress.message(f"cached: {', '.join(stored)}")
    if ahead:
        costs: dict[str, list[str]] = {}
        for metric in ahead:
            costs.setdefault(metric.cost(context), []).append(metric.name)
        grouped = [f"{', '.join(names)} ({cost})" for cost, names in costs.items()]
        progress.message(f"to measure: {'; '.join(grouped)}")


def _expected_time(ahead: Sequence[Metric], untrained: Sequence[NotTrained], context: EvaluationContext, processes: int) -> str:
    line = f"expected time: about {in_words(measuring_seconds(ahead, context, processes))}"
    line += f" in {processes} processes" if processes > 1 else ""
    if not untrained:
        return line
    names = ", ".join(f"{missing.kind} on {missing.data.name}" for missing in untrained)
    longest = in_words(extractor_seconds(untrained))
    return f"{line}, and first at most {longest} to train the feature extractor {names}, once"


def _measured(metric: Metric, context: EvaluationContext, processes: Processes) -> MetricResults:
    """Return and store the results of a metric, which the first process measures alone if processes do not share its work."""
    file = result_file(metric, context)
    processes.require_same(file.name, f"data or feature extractors for {metric.name}", SHARED_FILES)
    stored = read_results(file)  # of an extractor that had to be trained again
    if processes.from_first(lambda: stored is not None):
        return stored or _ELSEWHERE
    if metric.shared or processes.count == 1:
        return _computed(metric, context, lambda found: processes.lead(lambda: write_results(file, found)))
    own = EvaluationContext(context.opened, context.settings, context.progress)  # what it loads, the others do not
    return processes.lead(lambda: _computed(metric, own, partial(write_results, file))) or _ELSEWHERE


def _computed(metric: Metric, context: EvaluationContext, store: Callable[[MetricResults], None]) -> MetricResults:
    try:
        with inference_mode(context.model):
            found = metric.measure(context).finite()
    except NotApplicable as error:
        return MetricResults({}, {metric.name: str(error)})
    store(found)
    return found


def _facts(context: EvaluationContext) -> dict[str, Any]:
    """Return the model, the data that it was measured on, and the cost of its training."""
    opened, split = context.opened, context.settings.split
    run, data, provenance = opened.run, opened.dataset, opened.run.provenance
    shape = [data.spec.height, data.spec.width, data.spec.channels]
    return {
        "run": str(run.path),
        "family": run.config.family,
        "checkpoint": opened.step,
        "weights_sha256": opened.digest,
        "data": {"name": data.name, "digest": data.digest, "shape": shape, "split": split, "n": len(context.split)}
        | data.spec.treatment,
        "training": {
            "seconds": provenance.get("training_seconds"),
            "seed": run.config.train.seed,
            "weights": _weights(run, opened.step),
            "changes": _changes(provenance),
            "command": provenance.get("command", ""),
            "hardware": provenance.get("hardware", {}),
            "parameters": sum(parameter.numel() for parameter in opened.model.parameters()),
        },
    }


def _weights(run: Run, step: int) -> str:
    """Return which weights of a run are evaluated: those of the step with the lowest validation loss, or the last ones."""
    if run.best_step != step:
        return f"last, at step {step:,}"
    last = run.provenance.get("step", step)
    return f"lowest validation loss, at step {step:,} of {last:,} (--patience {run.config.train.patience})"


def _changes(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the settings that resumes changed: for each resume that did, `from_step`, and [before, after] by name."""
    resumes = provenance.get("resumes", [])
    return [{"from_step": entry["from_step"], **entry["changes"]} for entry in resumes if "changes" in entry]

"""Evaluation of a trained model: measures all metrics that apply, each once for a checkpoint and its settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulacra.core.errors import DataError, NotApplicable
from simulacra.core.eval_mode import inference_mode
from simulacra.core.files import require_writable, write_json
from simulacra.core.finite import require_finite_weights
from simulacra.core.progress import Progress
from simulacra.evaluation.result_cache import digest, read_results, result_file, write_results, write_scores
from simulacra.evaluation.settings import selected
from simulacra.evaluation.warnings import evaluation_warnings
from simulacra.features.loading import why_not
from simulacra.images.files import make_folder
from simulacra.metrics.context import NO_EXTRACTOR, NO_SAMPLES, EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.settings import SharedSettings
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.applicable import missing
from simulacra.runs.opened import OpenedRun
from simulacra.runs.provenance import now
from simulacra.runs.run import Run

_REMEDIES = {"test": "train on more images, or give --test-path", "validation": "train on more images, or with --validation"}


def evaluate(opened: OpenedRun, settings: SharedSettings, progress: Progress) -> dict[str, Any]:
    """Return and store the numbers of all metrics that apply, reasons for missing ones, and warnings.

    Cached results are not measured again. Raises UsageError for an invalid sampling plan or an unknown metric, DataError where
    there are no images to measure on, NonFiniteError for weights that are infinite or NaN.
    """
    require_finite_weights(opened.model)
    require_writable(opened.run.evaluations)
    context = EvaluationContext(opened, settings, progress)
    if len(context.split) == 0:
        raise DataError(f"{opened.dataset.name} has no {settings.split} images to measure on: {_REMEDIES[settings.split]}")
    reasons = {metric.name: why for metric in selected(settings) if (why := _not_applicable(metric, context))}
    plan = [(metric, result_file(metric, context)) for metric in selected(settings) if metric.name not in reasons]
    stored = {metric.name: found for metric, file in plan if (found := read_results(file))}
    _announce(plan, stored, context)
    metrics: dict[str, Measurement] = {}
    artifacts: dict[str, Any] = {}
    for metric, file in plan:
        found = stored.get(metric.name) or _measured(metric, context, file)
        metrics |= found.measurements
        reasons |= found.missing
        artifacts |= {metric.name: found.artifacts} if found.artifacts else {}
    result = {**_facts(context), "settings": settings.table(), "evaluated": now()}
    result["metrics"] = {name: item.table() for name, item in metrics.items()}
    warnings = evaluation_warnings(metrics, opened.spec.dimensions, opened.step)
    result |= {"not_applicable": reasons, "warnings": warnings, "artifacts": artifacts}
    make_folder(opened.run.evaluations)
    path = opened.run.evaluations / f"step_{opened.step:08d}-{digest(settings.table())[:8]}.json"
    result["scores"] = path.with_suffix(".npz").name
    write_scores(path.with_suffix(".npz"), metrics)
    write_json(path, result)
    return result


def _not_applicable(metric: Metric, context: EvaluationContext) -> str:
    for need in metric.needs:
        if reason := missing(context.model, (need,)):
            return reason.removeprefix("it ")
    if reason := metric.not_applicable(context):
        return reason
    if "samples" not in metric.settings and "labels" in context.model.accepts and context.split.labels is None:
        return f"the {context.split.name} images have no labels, on which the model is conditional"
    if "samples" in metric.settings and context.settings.samples == 0:
        return NO_SAMPLES
    if "extractor" not in metric.settings:
        return ""
    return NO_EXTRACTOR if context.extractor_name == "none" else why_not(context.extractor_name, context.opened.dataset)


def _announce(plan: list[tuple[Metric, Path]], stored: Mapping[str, MetricResults], context: EvaluationContext) -> None:
    """Report what is cached and what is measured now, with its cost."""
    if stored:
        context.progress.message(f"cached: {', '.join(stored)}")
    if ahead := [f"{metric.name} ({metric.cost(context)})" for metric, _ in plan if metric.name not in stored]:
        context.progress.message(f"to measure: {'; '.join(ahead)}")


def _measured(metric: Metric, context: EvaluationContext, file: Path) -> MetricResults:
    try:
        with inference_mode(context.model):
            found = metric.measure(context).finite()
    except NotApplicable as error:
        return MetricResults({}, {metric.name: str(error)})
    write_results(file, found)
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

"""Measure a trained model: every number that its capabilities allow, each measured once for a checkpoint and its settings."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulacra.core.capabilities import supports
from simulacra.core.errors import DataError, NotApplicable
from simulacra.core.eval_mode import inference
from simulacra.core.files import write_json
from simulacra.core.progress import Progress
from simulacra.evaluation.warnings import flags
from simulacra.features.loading import why_not
from simulacra.images.files import make_folder
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.measures import Findings, Measure, measures
from simulacra.metrics.settings import EvaluateConfig
from simulacra.runs.provenance import now

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

_REMEDIES = {"test": "train on more images, or give --test-path", "validation": "train on more images, or with --validation"}
_VERSION = 2  # raised when a measure changes what it measures, so that no older number is taken for a new one


def evaluate(trained: "OpenedRun", settings: EvaluateConfig, progress: Progress) -> dict[str, Any]:
    """Return and store every number that applies, with what is missing and why, and what should worry the reader."""
    context = EvaluationContext(trained, settings, progress)
    if len(context.split) == 0:
        raise DataError(f"{trained.dataset.name} has no {settings.split} images to measure on: {_REMEDIES[settings.split]}")
    plan, missing = _planned(context)
    stored = {measure: found for measure, file in plan.items() if (found := _stored(file))}
    _announce(plan, stored, context)
    metrics: dict[str, Measurement] = {}
    pictures: dict[str, Any] = {}
    for measure, file in plan.items():
        found = stored.get(measure) or _taken(measure, context, file)
        metrics |= found.metrics
        missing |= found.missing
        pictures |= found.pictures
    result = {**_facts(context), "settings": settings.table(), "evaluated": now()}
    result["metrics"] = {name: item.table() for name, item in metrics.items()}
    result |= {"not_applicable": missing, "warnings": flags(metrics, trained.spec.dimensions), "pictures": pictures}
    write_json(_file(trained, settings), result)
    return result


def _planned(context: EvaluationContext) -> tuple[dict[Measure, Path], dict[str, str]]:
    """Return the measures that apply with the file of each one's result, and why the others do not apply."""
    plan: dict[Measure, Path] = {}
    missing: dict[str, str] = {}
    for measure in measures(context.trained.dataset):
        reason = _why_not(measure, context)
        if reason:
            missing[measure.name] = reason
        else:
            plan[measure] = _cache(measure, context)
    return plan, missing


def _why_not(measure: Measure, context: EvaluationContext) -> str:
    if not supports(context.trained.model, measure.needs):
        return f"needs {measure.needs.phrase}"
    if reason := measure.refused(context):
        return reason
    if "samples" in measure.settings and context.settings.samples == 0:
        return "--samples 0 leaves it out"
    if "extractor" not in measure.settings:
        return ""
    if context.extractor_name == "none":
        return "--extractor none leaves it out"
    return why_not(context.extractor_name, context.trained.dataset)


def _announce(plan: Mapping[Measure, Path], stored: Mapping[Measure, Findings], context: EvaluationContext) -> None:
    """Say what is going to be computed, before it is."""
    if stored:
        context.progress.message(f"measured before, and taken from there: {', '.join(measure.name for measure in stored)}")
    if ahead := [f"{measure.name} ({measure.cost(context)})" for measure in plan if measure not in stored]:
        context.progress.message(f"to measure: {'; '.join(ahead)}")


# --- results that are kept


def _cache(measure: Measure, context: EvaluationContext) -> Path:
    """Return the file of a measure's result: its name is a digest of all that the numbers depend on."""
    settings = context.settings.table()
    identity: dict[str, Any] = {
        "version": _VERSION,
        "weights": context.trained.digest,
        "data": context.trained.dataset.digest,
        f"{context.settings.split}_images": len(context.split),
        **{name: settings[name] for name in measure.settings},
    }
    if "samples" in measure.settings and context.sampling_protocol:
        identity["plan"] = context.sampling_protocol
    if "extractor" in measure.settings:
        identity["extractor"] = _extractor_identity(measure, context)
    return context.trained.run.evaluations / "measures" / f"{measure.name}-{_digest(identity)[:20]}.json"


def _extractor_identity(measure: Measure, context: EvaluationContext) -> str:
    """Return the digests of the weights of the extractors that a measure sees through, which trains those that never were."""
    return " ".join(f"{extractor.network.title}:{extractor.digest}" for extractor in measure.extractors(context))


def _stored(file: Path) -> Findings | None:
    """Return a result that was measured before; None where there is none, or none that is as it was written."""
    try:
        content = json.loads(file.read_text())
        if content.pop("sha256") != _digest(content):
            return None
        metrics = {name: Measurement.of(item) for name, item in content["metrics"].items()}
        return Findings(metrics, content["missing"], content["pictures"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _taken(measure: Measure, context: EvaluationContext, file: Path) -> Findings:
    try:
        with inference(context.trained.model):
            found = measure.take(context)
    except NotApplicable as error:
        return Findings({}, {measure.name: str(error)})
    make_folder(file.parent)
    metrics = {name: item.table() for name, item in found.metrics.items()}
    content = {"measured": now(), "metrics": metrics, "missing": dict(found.missing), "pictures": dict(found.pictures)}
    write_json(file, {**content, "sha256": _digest(content)})
    return found


def _digest(content: Mapping[str, Any]) -> str:
    """Return the digest of plain facts, whatever their order."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# --- the whole


def _facts(context: EvaluationContext) -> dict[str, Any]:
    """Return which model was measured on what, and what its training took."""
    trained, split = context.trained, context.settings.split
    run, data = trained.run, trained.dataset
    shape = [data.spec.height, data.spec.width, data.spec.channels]
    provenance = run.provenance
    return {
        "run": str(run.path),
        "family": run.config.family,
        "checkpoint": trained.step,
        "weights_sha256": trained.digest,
        "data": {"name": data.name, "digest": data.digest, "shape": shape, "split": split, "n": len(context.split)},
        "training": {
            "seconds": provenance.get("training_seconds"),
            "seed": run.config.train.seed,
            "command": provenance.get("command", ""),
            "hardware": provenance.get("hardware", {}),
            "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        },
    }


def _file(trained: "OpenedRun", settings: EvaluateConfig) -> Path:
    """Return where an evaluation with these settings is stored."""
    make_folder(trained.run.evaluations)
    return trained.run.evaluations / f"step_{trained.step:08d}-{_digest(settings.table())[:8]}.json"

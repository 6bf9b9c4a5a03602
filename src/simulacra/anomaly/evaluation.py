"""Evaluation of anomaly detection: normal test images against anomalies of several kinds, beside baselines.

The model and every baseline have the same protocol: fitted to training images, threshold from validation images, test images
scored once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simulacra.anomaly.anomalies import Anomalies
from simulacra.anomaly.curves import auroc, average_precision
from simulacra.anomaly.detector import Detector, fitted
from simulacra.anomaly.score import Scored, score_images
from simulacra.anomaly.scores import BASELINES, LOCAL_BASELINE, scores
from simulacra.anomaly.training_images import images_of
from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.progress import Progress
from simulacra.core.text import quoted
from simulacra.metrics.statistics.measurement import Measurement, fraction_of
from simulacra.runs.opened import OpenedRun
from simulacra.runs.run import Run

_MISTAKES = 32  # images listed of each kind of mistake, at most

Numbers = Mapping[str, Measurement]
"""Measurements by name: auroc, aupr, pixel_auroc, true_positive_rate, false_positive_rate."""


@dataclass(frozen=True)
class Result:
    """Numbers of one score against one kind of anomalies, and positions of its mistakes, the worst first.

    missed: of anomalies that are not detected; false_alarms: of normal test images that are.
    """

    numbers: Numbers
    missed: tuple[int, ...]
    false_alarms: tuple[int, ...]


@dataclass(frozen=True)
class DetectionEvaluation:
    """Results by the name of the score, the model's first, and by the kind of anomalies."""

    detector: Detector
    descriptions: Mapping[str, str]
    results: Mapping[str, Mapping[str, Result]]

    def table(self, opened: OpenedRun) -> dict[str, Any]:
        """Return the JSON object: `metrics` are those of the model by kind, `baselines` those of each baseline by kind."""
        own, calibration = self.detector.score, self.detector.calibration

        def numbers(name: str) -> dict[str, Any]:
            return {
                kind: {key: item.table() for key, item in result.numbers.items()} for kind, result in self.results[name].items()
            }

        return {
            "score": own.name,
            "settings": dict(own.settings),
            "weights_sha256": opened.digest,
            "checkpoint": opened.step,
            "data": opened.dataset.name,
            "calibration": calibration.facts(),
            "anomalies": dict(self.descriptions),
            "metrics": numbers(own.name),
            "baselines": {name: numbers(name) for name in self.results if name != own.name},
        }


def evaluate_detection(
    opened: OpenedRun, detector: Detector, kinds: Sequence[Anomalies], count: int, progress: Progress
) -> DetectionEvaluation:
    """Return the results of a score and of the baselines on the first `count` test images (0: all) and on anomalies.

    Raises UsageError where there are no test images.
    """
    normal = images_of(opened.dataset.test, count)
    if not len(normal):
        raise UsageError(f"{opened.dataset.name} has no normal test images: detect evaluate needs some")
    masked = any(item.masks is not None for item in kinds)
    names = [*BASELINES, *([LOCAL_BASELINE] if masked else [])]
    rate = detector.calibration.rate
    baselines = [fitted(opened, scores()[name], None, rate, progress) for name in names if name != detector.score.name]
    results = {one.score.name: _results(one, normal, kinds, progress) for one in (detector, *baselines)}
    return DetectionEvaluation(detector, {item.kind: item.description for item in kinds}, results)


def _results(detector: Detector, normal: Tensor, kinds: Sequence[Anomalies], progress: Progress) -> dict[str, Result]:
    total, found = len(normal) + sum(len(item.images) for item in kinds), {}
    with progress.task(f"evaluating {detector.score.name}", total, "images") as meter:
        reference = score_images(detector.scorer, normal, meter, "normal test images")
        for item in kinds:
            found[item.kind] = result_of(detector, reference, score_images(detector.scorer, item.images, meter, item.kind), item)
    return found


def result_of(detector: Detector, normal: Scored, anomalous: Scored, item: Anomalies) -> Result:
    """Return the numbers of the scores of normal test images and of anomalies, and the mistakes at the calibrated threshold."""
    calibration = detector.calibration
    protocol: dict[str, Any] = {
        "score": detector.score.name,
        "normal_n": len(normal.values),
        "anomalous_n": len(anomalous.values),
    }
    facts = {**protocol, "threshold": calibration.threshold, "calibrated_rate": calibration.rate}
    alarms, hits = calibration.anomalous(normal.values), calibration.anomalous(anomalous.values)
    numbers = {
        "auroc": auroc(normal.values, anomalous.values, protocol),
        "aupr": average_precision(normal.values, anomalous.values, protocol),
        "true_positive_rate": fraction_of(hits, {**facts, "count": int(hits.sum())}),
        "false_positive_rate": fraction_of(alarms, {**facts, "count": int(alarms.sum())}),
    }
    if item.masks is not None and normal.maps is not None and anomalous.maps is not None:
        numbers["pixel_auroc"] = _pixel_auroc(normal.maps, anomalous.maps, item.masks, protocol)
    missed = _first(anomalous.values, ~hits, descending=False)
    return Result(numbers, missed, _first(normal.values, alarms, descending=True))


def _pixel_auroc(normal: Tensor, anomalous: Tensor, masks: Tensor, protocol: dict[str, Any]) -> Measurement:
    """Return the AUROC of pixels: those inside of masks against all others, of normal test images too; errors are over images."""
    maps, inside = torch.cat([normal, anomalous]), torch.cat([torch.zeros_like(normal, dtype=torch.bool), masks])
    images = torch.arange(len(maps))[:, None, None].expand_as(maps)
    groups = images[~inside], images[inside]
    return auroc(maps[~inside], maps[inside], {**protocol, "pixels_inside": int(inside.sum()), "error": "over images"}, groups)


def _first(values: Tensor, chosen: Tensor, *, descending: bool) -> tuple[int, ...]:
    order = values.argsort(descending=descending, stable=True)
    return tuple(order[chosen[order]][:_MISTAKES].tolist())


def stored_evaluation(run: Run) -> dict[str, Any] | None:
    """Return the newest stored evaluation, as JSON; None where there is none. Raises SimulacraError for a damaged one."""
    paths = sorted(run.detection.glob("evaluation_*.json"), key=lambda path: path.stat().st_mtime_ns)
    if not paths:
        return None
    try:
        content: dict[str, Any] = json.loads(paths[-1].read_text())
        if not (isinstance(content["metrics"], dict) and isinstance(content["baselines"], dict)):
            raise TypeError("it has no metrics")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SimulacraError(
            f"{paths[-1]} is damaged ({error}): run `simulacra detect evaluate {quoted(run.path)}` again"
        ) from error
    return content

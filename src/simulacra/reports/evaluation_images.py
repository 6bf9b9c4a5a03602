"""Pictures of what an evaluation found worth looking at: suspected copies, and what is generated of each class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import Samples
from simulacra.core.eval_mode import inference
from simulacra.core.randomness import noise
from simulacra.data.dataset import Split
from simulacra.evaluation.metric_table import Evaluation
from simulacra.reports.report_images import Picture, columns_of, drawing

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

_ARTIFACTS = {"suspects": "memorization", "classes": "class_histogram"}  # names of the metrics that stored them
_SUSPECTS = 12  # in a row, of which there are two
_NOTHING = "the evaluation compares nothing in features"  # as of points, which are compared with their law


@dataclass(frozen=True)
class OfClass:
    """What is generated and what is real of one class, in pictures and as shares of all images; None where there is none."""

    name: str
    generated: Picture | None
    real: Picture | None
    share: float
    usual: float


@dataclass(frozen=True)
class Exhibition:
    """The pictures, or why there are none. ratios: lowest and highest distance of those shown, over that of unseen images."""

    neighbours: tuple[Picture, ...] = ()
    ratios: tuple[float, float] = (0.0, 0.0)
    no_neighbours: str = ""
    classes: tuple[OfClass, ...] = ()
    more_classes: int = 0
    no_classes: str = ""


def exhibition(trained: "OpenedRun", evaluation: Evaluation | None, problem: str) -> Exhibition:
    """Return the pictures of an evaluation. problem: why the data cannot be used, if they cannot."""
    reason = _why_none(trained, evaluation, problem)
    if reason or evaluation is None:
        return Exhibition(no_neighbours=reason, no_classes=reason)
    stored, missing = evaluation.artifacts, evaluation.missing
    found = {name: stored[metric] for name, metric in _ARTIFACTS.items() if metric in stored}
    shown: dict[str, Any] = {}
    if "suspects" in found:
        pictures, ratios = _neighbours(trained, found["suspects"])
        shown |= {"neighbours": pictures, "ratios": ratios}
    else:
        shown["no_neighbours"] = missing.get("nearest_train_ratio", missing.get("memorization", _NOTHING))
    if "classes" in found:
        rows = _classes(trained, found["classes"])
        shown |= {"classes": rows, "more_classes": found["classes"]["of"] - len(rows)}
    else:
        shown["no_classes"] = missing.get("class_kl", missing.get("class_histogram", _NOTHING))
    return Exhibition(**shown)


def _why_none(trained: "OpenedRun", evaluation: Evaluation | None, problem: str) -> str:
    if evaluation is None:
        return "the model has not been evaluated yet"
    if evaluation.weights != trained.digest:
        return "the evaluation is of an earlier checkpoint"
    return problem


def _neighbours(trained: "OpenedRun", found: Mapping[str, Any]) -> tuple[tuple[Picture, ...], tuple[float, float]]:
    """Return strips, each a row of generated images above the training images that they are nearest to."""
    columns = columns_of(trained.spec, _SUSPECTS)
    count = min(2 * columns, len(found["generated"]) // columns * columns) or len(found["generated"])
    made = _generated(trained, found["seed"], found["generated"][:count])
    known = _real(trained.dataset.train, found["train"][:count])
    strips = zip(made.split(columns), known.split(columns), strict=True)
    alt = "Generated images, each above the training image that is nearest to it"
    ratios = found["ratios"][:count]
    return tuple(drawing(torch.cat(pair), len(pair[0]), alt) for pair in strips), (min(ratios), max(ratios))


def _classes(trained: "OpenedRun", found: Mapping[str, Any]) -> tuple[OfClass, ...]:
    columns = columns_of(trained.spec, 10)
    rows = []
    for label, name in enumerate(found["names"]):
        made, real = found["generated"][label][:columns], found["real"][label][:columns]
        share, usual = found["shares"][label]
        rows.append(
            OfClass(
                name,
                _strip(_generated(trained, found["seed"], made), f"Generated images in which {name} is seen"),
                _strip(_real(trained.dataset.test, real), f"Test images in which {name} is seen"),
                share,
                usual,
            )
        )
    return tuple(rows)


def _strip(images: Tensor, alt: str) -> Picture | None:
    return drawing(images, len(images), alt, shares=2) if len(images) else None


def _generated(trained: "OpenedRun", seed: int, positions: Sequence[int]) -> Tensor:
    """Return the generated images of these numbers: float [n c h w]."""
    model = cast(Samples, trained.model)
    if not positions:
        return torch.empty(0, *trained.spec.shape)
    drawn = torch.cat([noise(seed, position, 1, model.noise_shape) for position in positions])
    with inference(trained.model):
        return model.generate(drawn)


def _real(split: Split, positions: Sequence[int]) -> Tensor:
    return split.batch(np.asarray(positions, dtype=np.int64)).images

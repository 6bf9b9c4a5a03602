"""Report sections of an evaluation: nearest training images, images by class, cost of the steps of a diffusion."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import Samples, require, supports
from simulacra.core.randomness import noise
from simulacra.data.dataset import Split
from simulacra.evaluation.metric_table import Evaluation
from simulacra.images.grid import image_grid
from simulacra.images.section import Figure, ReportSection, columns_for
from simulacra.runs.opened import OpenedRun

_NEAREST, _BY_CLASS = 12, 10  # images in a row
_NO_FEATURES = "the evaluation compares no features"  # as of points, whose density is known


def evaluation_sections(opened: OpenedRun, evaluation: Evaluation | None, problem: str) -> list[ReportSection]:
    """Return the sections of an evaluation. problem: why the data cannot be used, empty where they can."""
    sections = [_steps(evaluation.pictures["diffusion_bound"])] if evaluation and "diffusion_bound" in evaluation.pictures else []
    if not supports(opened.model, Samples):
        return sections
    if evaluation is None:
        reason = f"the model is not evaluated yet: 'simulacra evaluate {opened.run.path}' does it"
    elif evaluation.weights != opened.digest:
        reason = f"the evaluation is of an earlier checkpoint: 'simulacra evaluate {opened.run.path}' repeats it"
    else:
        reason = problem
    return [_nearest(opened, evaluation, reason), _classes(opened, evaluation, reason), *sections]


def _nearest(opened: OpenedRun, evaluation: Evaluation | None, reason: str) -> ReportSection:
    title, order = "Nearest neighbours", 50
    if evaluation is None or reason or "suspects" not in evaluation.pictures:
        absent = evaluation.missing if evaluation else {}
        missing = reason or absent.get("nearest_train_ratio", absent.get("fidelity", _NO_FEATURES))
        return ReportSection(title, order, missing=f"Not available: {missing}.")
    found = evaluation.pictures["suspects"]
    columns = columns_for(opened.spec.shape, _NEAREST)
    count = min(2 * columns, len(found["generated"]) // columns * columns) or len(found["generated"])
    generated = _generated(opened, found["seed"], found["generated"][:count])
    real = _real(opened.dataset.train, found["train"][:count])
    ratios = found["ratios"][:count]
    alt = "Generated images, each above the nearest training image"
    rows = tuple(
        (Figure(image_grid(torch.cat(pair), len(pair[0])), alt),)
        for pair in zip(generated.split(columns), real.split(columns), strict=True)
    )
    text = (
        "Generated images, each above the nearest training image in the features of the evaluation. They are "
        f"the nearest: their distances are {min(ratios):.2f} to {max(ratios):.2f} times the usual one of unseen real images. "
        "Identical pairs are memorized training images; similar pairs occur with a good model, too."
    )
    return ReportSection(title, order, (text,), rows)


def _classes(opened: OpenedRun, evaluation: Evaluation | None, reason: str) -> ReportSection:
    title, order = "Images by class", 55
    if evaluation is None or reason or "classes" not in evaluation.pictures:
        absent = evaluation.missing if evaluation else {}
        return ReportSection(
            title, order, missing=f"Not available: {reason or absent.get('class_kl', absent.get('fidelity', _NO_FEATURES))}."
        )
    found = evaluation.pictures["classes"]
    columns = columns_for(opened.spec.shape, _BY_CLASS)
    rows = []
    for label, name in enumerate(found["names"]):
        generated = _generated(opened, found["seed"], found["generated"][label][:columns])
        real = _real(opened.dataset.test, found["real"][label][:columns])
        share, usual = found["shares"][label]
        rows.append(
            (
                _strip(generated, f"Generated images of {name}", f"{name}: {100 * share:.1f} % of generated images"),
                _strip(real, f"Test images of {name}", f"{name}: {100 * usual:.1f} % of real images"),
            )
        )
    more = found["of"] - len(rows)
    text = (
        "The first generated images (left) and test images (right) of each class, by the classifier of the evaluation. Look for "
        "classes that are rare or missing, and for less variety than among real images. Every image is assigned to a class."
        + (f" {more} more classes are not listed." if more else "")
    )
    return ReportSection(title, order, (text,), tuple(rows))


def _steps(costs: Mapping[str, Any]) -> ReportSection:
    text = (
        "Bits per dimension of the variational bound in twenty intervals of the reverse process, from the image (left) to noise "
        f"(right). The noisiest level adds {costs['prior']:.4f} bits and the least noisy one {costs['decoder']:.3f} bits."
    )
    return ReportSection("Terms of the diffusion bound", 57, (text,), bars=tuple(costs["steps"]), bar_unit="bits per dimension")


def _strip(images: Tensor, alt: str, label: str) -> Figure:
    return Figure(image_grid(images, len(images)) if len(images) else None, alt, label)


def _generated(opened: OpenedRun, seed: int, positions: Sequence[int]) -> Tensor:
    """Return the generated images of these numbers: float [n c h w]."""
    model = require(opened.model, Samples, "sampling")
    if not positions:
        return torch.empty(0, *opened.spec.shape)
    drawn = torch.cat([noise(seed, position, 1, model.noise_shape) for position in positions])
    return opened.apply(model.generate, drawn)


def _real(split: Split, positions: Sequence[int]) -> Tensor:
    return split.batch(np.asarray(positions, dtype=np.int64)).images

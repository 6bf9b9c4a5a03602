"""Figures of the report sections of metrics: images by their positions, in grids."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import Samples
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import noise
from simulacra.data.dataset import Split
from simulacra.images.section import ReportSection
from simulacra.metrics.metric import MetricResults
from simulacra.runs.label_shares import LabelShares
from simulacra.runs.opened import OpenedRun


def unavailable(title: str, order: int, results: MetricResults) -> ReportSection:
    """Return a section without figures, with the reason."""
    reason = next(iter(results.missing.values()), "the evaluation has no images of it")
    return ReportSection(title, order, missing=f"Not available: {reason}.")


def generated_images(opened: OpenedRun, seed: int, positions: Sequence[int]) -> Tensor:
    """Return the images with these numbers that an evaluation generates under a seed: float [n c h w] on the CPU."""
    model = cast(Samples, opened.model)
    if not positions:
        return torch.empty(0, *opened.spec.shape)
    drawn = torch.cat([noise(seed, position, 1, model.noise_shape) for position in positions])
    condition = LabelShares(opened.dataset.train, model.label_sizes).condition(drawn).to(opened.device)
    with inference_mode(opened.model):
        return model.generate(drawn.to(opened.device), condition).cpu()


def real_images(split: Split, positions: Sequence[int]) -> Tensor:
    """Return the images of a split at these positions: float [n c h w]."""
    return split.batch(np.asarray(positions, dtype=np.int64)).images

"""Figures of the report sections of metrics: images by their positions, in grids."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import Samples, SamplesIteratively
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import noise
from simulacra.data.dataset import Split
from simulacra.images.section import ReportSection
from simulacra.metrics.metric import MetricResults
from simulacra.runs.generation import sample_in_batches
from simulacra.runs.label_shares import LabelShares
from simulacra.runs.opened import OpenedRun


def unavailable(title: str, order: int, results: MetricResults) -> ReportSection:
    """Return a section without figures, with the reason."""
    reason = next(iter(results.missing.values()), "the evaluation has no images of it")
    return ReportSection(title, order, missing=f"Not available: {reason}.")


def generated_images(opened: OpenedRun, results: MetricResults, positions: Sequence[int]) -> Tensor:
    """Return the images with these numbers that an evaluation generated: float [n c h w] on the CPU.

    results: of a metric in feature space, whose artifacts hold the seed, and whose protocols hold the sampling plan.
    """
    model = cast(Samples, opened.model)
    if not positions:
        return torch.empty(0, *opened.spec.shape)
    drawn = torch.cat([noise(results.artifacts["seed"], position, 1, model.noise_shape) for position in positions])
    condition = LabelShares(opened.dataset.train, model.label_sizes).condition(drawn).to(opened.device)
    protocol = next((item.protocol for item in results.measurements.values()), {})
    with inference_mode(opened.model):
        if isinstance(model, SamplesIteratively) and "sampler" in protocol:
            plan = opened.plan(*(protocol[name] for name in ("sampler", "steps", "guidance_scale", "arithmetic")))
            return sample_in_batches(model, drawn.to(opened.device), condition, plan).cpu()
        return model.generate(drawn.to(opened.device), condition).cpu()


def real_images(split: Split, positions: Sequence[int]) -> Tensor:
    """Return the images of a split at these positions: float [n c h w]."""
    return split.batch(np.asarray(positions, dtype=np.int64)).images

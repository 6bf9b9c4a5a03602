"""Variational bound of diffusion and flow models in bits per dimension, with its terms."""

from typing import Any, cast

import torch

from simulacra.core.capabilities import HasDiffusionBound
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.images.section import ReportSection
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.elbo import BITS_PER_DIM
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.metrics.statistics.model_inputs import batches, likelihood_condition
from simulacra.objectives.likelihood import bits_per_dimension
from simulacra.runs.opened import OpenedRun

DRAWS = 8  # steps of each image that are evaluated
BINS = 20  # intervals of diffusion time over which the terms of steps are summed


def diffusion_bound(model: HasDiffusionBound, split: Split, seed: int, meter: Meter) -> tuple[Measurement, dict[str, Any]]:
    """Return bits_per_dim by the variational bound of 256 levels, mean over the images of a split, and its terms.

    The terms, in bits per dimension: prior, decoder, and steps, summed over each twentieth of diffusion time.
    """
    totals, parts = [], []
    sums, drawn = torch.zeros(BINS, dtype=torch.float64), 0
    for number, batch in enumerate(batches(model, split)):
        with stream(seed, "step costs", number):
            found = model.diffusion_bound(batch.images, DRAWS, likelihood_condition(model, batch))
        totals.append(found.total.cpu())
        parts.append(torch.stack([found.prior, found.decoder], 1).cpu())
        bins = (found.times.cpu().double() * BINS).long().clamp_max(BINS - 1).flatten()
        sums.index_add_(0, bins, found.steps.cpu().double().flatten() * found.count)
        drawn += found.steps.numel()
        meter.advance(len(batch))
    dimensions = split.images[0].size
    bits = torch.as_tensor(bits_per_dimension(torch.cat(totals), dimensions))
    prior, decoder = torch.as_tensor(bits_per_dimension(torch.cat(parts).double().mean(0), dimensions)).tolist()
    steps = torch.as_tensor(bits_per_dimension(sums / drawn, dimensions)).tolist()
    protocol = {"target": "256 grey levels", "bound": "variational, 1000 levels", "dequantization": "none", "seed": seed}
    return mean_of(bits, {**protocol, "steps_drawn": DRAWS}), {"prior": prior, "decoder": decoder, "steps": steps}


def _measure(context: EvaluationContext) -> MetricResults:
    with context.progress.task("diffusion bound", len(context.split), "images") as meter:
        model = cast(HasDiffusionBound, context.model)
        bits, terms = diffusion_bound(model, context.split, context.settings.seed, meter)
    return MetricResults({"bits_per_dim": bits}, {}, terms)


def _section(opened: OpenedRun, results: MetricResults) -> ReportSection | None:
    if not results.artifacts:
        return None
    terms = results.artifacts
    text = (
        "Bits per dimension of the variational bound, summed over each twentieth of diffusion time, from the image (left) to "
        f"noise (right). The prior term adds {terms['prior']:.4f} bits, the decoder term {terms['decoder']:.3f} bits.",
        "In most models the steps at the lowest noise levels contribute most, since fine detail is the hardest to predict.",
    )
    return ReportSection("Terms of the diffusion bound", 57, text, bars=tuple(terms["steps"]), bar_unit="bits per dimension")


def _cost(context: EvaluationContext) -> str:
    return f"{len(context.split):,} x {DRAWS + 1} evaluations of the network"


METRIC = Metric(
    "diffusion_bound", (BITS_PER_DIM,), (HasDiffusionBound,), 210, _cost, _measure, settings=("seed",), section=_section
)

"""Variational bound of diffusion and flow models in bits per dimension, with its terms."""

from typing import Any, cast

import torch
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasDiffusionBound
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.images.section import ReportSection
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.elbo import BITS_PER_DIM
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.metrics.statistics.model_inputs import BATCH, in_batches, likelihood_condition
from simulacra.objectives.likelihood import bits_per_dimension
from simulacra.runs.opened import OpenedRun

DRAWS = 8  # steps of each image that are evaluated
BINS = 20  # intervals of diffusion time over which the terms of steps are summed
_TERMS = ("prior", "decoder", "steps", "times")
_STRATA, _PER_STRATUM = 200, 20  # strata at most, and costs in each at least


def diffusion_bound(model: HasDiffusionBound, split: Split, seed: int, meter: Meter) -> tuple[Measurement, dict[str, Any]]:
    """Return bits_per_dim by the variational bound of 256 levels, mean over the images of a split, and its terms.

    The terms, in bits per dimension: prior, decoder, and steps, summed over each twentieth of diffusion time.
    """

    def terms_of(number: int, batch: Batch) -> dict[str, Tensor]:
        with stream(seed, "step costs", number):
            terms = model.diffusion_bound(batch.images, DRAWS, likelihood_condition(model, batch))
        found = {"prior": terms.prior, "decoder": terms.decoder, "steps": terms.steps * terms.count, "times": terms.times}
        return {name: values.cpu().double() for name, values in found.items()}

    found = in_batches(model, split, terms_of, meter)
    prior, decoder, steps, times = (found[name] for name in _TERMS)

    def bits(nats: Tensor) -> Tensor:
        return torch.as_tensor(bits_per_dimension(nats, split.images[0].size))

    bins = (times * BINS).long().clamp_max(BINS - 1).flatten()
    sums = torch.zeros(BINS, dtype=torch.float64).index_add_(0, bins, steps.flatten()) / steps.numel()
    protocol = {"target": "256 grey levels", "bound": "variational, 1000 levels", "dequantization": "none", "seed": seed}
    measured = mean_of(
        bits(prior + decoder + by_stratum(steps, times, min(BATCH, len(split)))), {**protocol, "steps_drawn": DRAWS}
    )
    means = bits(torch.stack([prior.mean(), decoder.mean()])).tolist()
    return measured, {"prior": means[0], "decoder": means[1], "steps": bits(sums).tolist()}


def by_stratum(steps: Tensor, times: Tensor, batch: int) -> Tensor:
    """Return an estimate of each image's mean step cost, float64 [n], whose mean is that of steps, [n k] at times [n k].

    Times are stratified over the images of a batch: each image has other times, but the mean over images does not depend on them.
    The deviation of a cost from the mean cost of its stratum, an interval of time, is therefore what the error over images
    consists of (Cochran 1977, eq. 5.10), and not its deviation from the mean of all costs. There are as many strata as images in
    a batch, but at most 200, and one for 20 costs. Deviations are enlarged for the means that were estimated.
    """
    costs = steps.double().flatten()
    strata = max(1, min(_STRATA, batch, len(costs) // _PER_STRATUM))
    numbers = torch.empty(len(costs), dtype=torch.int64)
    numbers[times.flatten().argsort(stable=True)] = torch.arange(len(costs)) * strata // len(costs)
    means = torch.zeros(strata, dtype=torch.float64).index_add_(0, numbers, costs) / numbers.bincount(minlength=strata)
    deviations = (costs - means[numbers]) * (len(costs) / max(len(costs) - strata, 1)) ** 0.5
    return deviations.view(steps.shape).mean(1) + costs.mean()


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

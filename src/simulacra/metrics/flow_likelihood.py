"""Likelihood of diffusion and flow models by the density of their probability flow, in bits per dimension."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasDiffusionBound
from simulacra.core.config import Config, option
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.metrics.statistics.model_inputs import in_batches, likelihood_condition
from simulacra.objectives.likelihood import bits_per_dimension

PROBES = 1  # random directions of the divergence estimate


@dataclass(frozen=True)
class FlowLikelihoodOptions(Config):
    """Options of the likelihood of the probability flow."""

    flow_images: int = option(
        0,
        "diffusion and flow models: number of real images whose likelihood under the probability flow is computed, which is "
        "slow; 0 disables it",
        low=0,
    )


def flow_bits(model: HasDiffusionBound, split: Split, count: int, seed: int, meter: Meter) -> Measurement:
    """Return flow_bits_per_dim by the density of the probability flow, mean over the first `count` images of a split."""

    def nats_of(number: int, batch: Batch) -> dict[str, Tensor]:
        with stream(seed, "flow likelihood", number):
            found = model.flow_log_likelihood(batch.images, PROBES, likelihood_condition(model, batch))
        return {"nats": -found.nats.cpu()}

    nats = in_batches(model, split[:count], nats_of, meter)["nats"]
    bits = torch.as_tensor(bits_per_dimension(nats, split.images[0].size))
    protocol = {"target": "256 grey levels", "kind": "estimate", "dequantization": "uniform", "probes": PROBES, "seed": seed}
    return mean_of(bits, protocol)


def _count(context: EvaluationContext) -> int:
    return min(context.options(FlowLikelihoodOptions).flow_images, len(context.split))


def _not_applicable(context: EvaluationContext) -> str:
    return "" if _count(context) else "add --flow-images N: the probability flow of each image is integrated, which is slow"


def _measure(context: EvaluationContext) -> MetricResults:
    count = _count(context)
    with context.progress.task("likelihood of the probability flow", count, "images") as meter:
        model = cast(HasDiffusionBound, context.model)
        return MetricResults({"flow_bits_per_dim": flow_bits(model, context.split, count, context.settings.seed, meter)})


_FLOW_BITS = Quantity(
    "flow_bits_per_dim",
    "bits per dimension of the probability flow",
    "smaller",
    "Estimate of the negative log-likelihood of uniformly dequantized pixels under the probability flow.",
)

METRIC = Metric(
    name="flow_likelihood",
    quantities=(_FLOW_BITS,),
    needs=(HasDiffusionBound,),
    order=220,
    cost=lambda context: f"{_count(context):,} integrations of the probability flow",
    measure=_measure,
    images=_count,
    settings=("seed", "flow_images"),
    options=FlowLikelihoodOptions,
    not_applicable=_not_applicable,
)

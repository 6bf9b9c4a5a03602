"""Negative log-likelihood in nats per image, estimated with importance samples."""

from dataclasses import dataclass
from typing import cast

import torch

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.config import Config, option
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.metrics.statistics.model_inputs import observations


@dataclass(frozen=True)
class NLLOptions(Config):
    """Options of the negative log-likelihood."""

    particles: int = option(50, "models with a likelihood: number of importance samples per image for the NLL", low=1)


def negative_log_likelihood(model: HasLikelihood, split: Split, particles: int, seed: int, meter: Meter) -> Measurement:
    """Return nll_nats: minus the log-likelihood, mean over the images of a split.

    With importance samples it is an upper bound in expectation that becomes tighter with their number (Burda et al. 2015,
    theorem 1).
    """
    scores, kind = [], ""
    for number, observed, condition in observations(model, split, seed):
        with stream(seed, "nll", number):
            result = model.log_likelihood(observed, particles, condition)
        scores.append(-result.nats.cpu())
        kind = result.kind
        meter.advance(len(observed))
    # a lower bound of log p is an upper bound of -log p
    bound = {"lower bound": "upper bound"}.get(kind, kind)
    protocol = {"target": model.target, "importance_samples": particles, "kind": bound, "seed": seed}
    return mean_of(torch.cat(scores), protocol)


def _measure(context: EvaluationContext) -> MetricResults:
    particles, seed = context.options(NLLOptions).particles, context.settings.seed
    with context.progress.task(f"NLL with {particles} samples", len(context.split), "images") as meter:
        model = cast(HasLikelihood, context.model)
        return MetricResults({"nll_nats": negative_log_likelihood(model, context.split, particles, seed, meter)})


def _cost(context: EvaluationContext) -> str:
    return f"{len(context.split):,} x {context.options(NLLOptions).particles} decodings"


_NLL = Quantity(
    "nll_nats",
    "negative log-likelihood, nats per image",
    "smaller",
    "Importance-sampling estimate of the negative log-likelihood; a tighter upper bound than the negative ELBO.",
)

METRIC = Metric("nll", (_NLL,), (HasLikelihood,), 200, _cost, _measure, ("seed", "particles"), NLLOptions)

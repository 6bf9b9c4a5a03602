"""Negative log-likelihood in nats per image, estimated with importance samples."""

from typing import cast

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults
from simulacra.metrics.statistics.likelihoods import NLL, LikelihoodOptions, split_nll, unconditional_likelihood
from simulacra.metrics.statistics.measurement import Measurement, mean_of


def negative_log_likelihood(model: HasLikelihood, split: Split, particles: int, seed: int, meter: Meter) -> Measurement:
    """Return nll_nats: minus the log-likelihood, mean over the images of a split; arguments as in `split_nll`."""
    return mean_of(*split_nll(model, split, particles, seed, meter))


def _measure(context: EvaluationContext) -> MetricResults:
    particles, seed = context.options(LikelihoodOptions).particles, context.settings.seed
    with context.progress.task(f"NLL with {particles} samples", len(context.split), "images") as meter:
        model = cast(HasLikelihood, context.model)
        return MetricResults({"nll_nats": negative_log_likelihood(model, context.split, particles, seed, meter)})


def _cost(context: EvaluationContext) -> str:
    return f"{len(context.split):,} x {context.options(LikelihoodOptions).particles} decodings"


METRIC = Metric(
    name="nll",
    quantities=(NLL,),
    needs=(HasLikelihood,),
    order=200,
    cost=_cost,
    measure=_measure,
    settings=("seed", "particles"),
    options=LikelihoodOptions,
    not_applicable=lambda context: unconditional_likelihood(context.model),
)

"""Negative log-likelihood of images given their condition (labels, a degraded image), in nats per image."""

from typing import cast

from simulacra.core.capabilities import HasLikelihood
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.restorations.options import degrader_of
from simulacra.metrics.statistics.likelihoods import DISTORTION, RATE, LikelihoodOptions, is_conditional, split_bound, split_nll
from simulacra.metrics.statistics.measurement import mean_of


def _measure(context: EvaluationContext) -> MetricResults:
    model, split, seed = cast(HasLikelihood, context.model), context.split, context.settings.seed
    particles = context.options(LikelihoodOptions).particles
    degrader = degrader_of(context) if "image" in context.model.accepts else None
    with context.progress.task("conditional bound", len(split), "images") as meter:
        bound = split_bound(model, split, seed, meter, degrader)
    with context.progress.task(f"conditional NLL with {particles} samples", len(split), "images") as meter:
        scores, protocol = split_nll(model, split, particles, seed, meter, degrader)
    floor = {name: value for name, value in bound.protocol.items() if name == "floor_nats"}
    terms = {
        "conditional_bound_nats": bound.rate + bound.distortion,
        "rate_nats": bound.rate,
        "distortion_nats": bound.distortion,
    }
    results = {name: mean_of(values, bound.protocol) for name, values in terms.items()}
    return MetricResults({**results, "conditional_nll_nats": mean_of(scores, protocol | floor)})


def _not_applicable(context: EvaluationContext) -> str:
    return "" if is_conditional(context.model) else "its likelihood is that of images without a condition: see elbo and nll"


def _cost(context: EvaluationContext) -> str:
    return f"{len(context.split):,} x {1 + context.options(LikelihoodOptions).particles} decodings"


_NATS = "nats per image"
_BOUND = "Upper bound of the negative log-likelihood of an image given its condition: rate + distortion."
_NLL = "Importance-sampling estimate of the negative log-likelihood of an image given its condition; a tighter upper bound."

METRIC = Metric(
    name="conditional_likelihood",
    quantities=(
        Quantity("conditional_bound_nats", f"conditional bound, {_NATS}", "smaller", _BOUND),
        RATE,
        DISTORTION,
        Quantity("conditional_nll_nats", f"conditional negative log-likelihood, {_NATS}", "smaller", _NLL),
    ),
    needs=(HasLikelihood,),
    order=201,
    cost=_cost,
    measure=_measure,
    settings=("seed", "particles", "degradation"),
    not_applicable=_not_applicable,
    details=frozenset({"floor_nats"}),
)

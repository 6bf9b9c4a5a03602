"""Negative ELBO in nats per image, with its two terms, and bits per dimension for models of discrete pixel values."""

from typing import cast

import torch

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.likelihoods import DISTORTION, RATE, split_bound, unconditional_likelihood
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.objectives.likelihood import bits_per_dimension


def elbo(model: HasLikelihood, split: Split, seed: int, meter: Meter) -> dict[str, Measurement]:
    """Return negative_elbo_nats = rate_nats + distortion_nats of a split, with one latent sample per image.

    Sums over pixels and latent dimensions, means over images. Also returns bits_per_dim where the model's likelihood can be
    converted to one of 256 grey levels.
    """
    bound = split_bound(model, split, seed, meter)
    rate, distortion, protocol = bound.rate, bound.distortion, bound.protocol
    nats = {"negative_elbo_nats": rate + distortion, "rate_nats": rate, "distortion_nats": distortion}
    results = {name: mean_of(values, protocol) for name, values in nats.items()}
    if model.nats_to_discrete is not None:
        dimensions = split.images[0].size
        bits = bits_per_dimension(rate + distortion + model.nats_to_discrete, dimensions)
        kind = {"bound": "negative ELBO", "dequantization": "none" if model.nats_to_discrete == 0 else "uniform"}
        results["bits_per_dim"] = mean_of(torch.as_tensor(bits), {**protocol, **kind})
    return results


def _measure(context: EvaluationContext) -> MetricResults:
    with context.progress.task("negative ELBO", len(context.split), "images") as meter:
        return MetricResults(elbo(cast(HasLikelihood, context.model), context.split, context.settings.seed, meter))


BITS_PER_DIM = Quantity(
    "bits_per_dim",
    "bits per dimension",
    "smaller",
    "Upper bound of the negative log-likelihood per pixel value, in bits, comparable across image sizes. Uncompressed: 8.",
)
_NATS = "nats per image"
_BOUND = "Upper bound of the negative log-likelihood: rate + distortion."

METRIC = Metric(
    name="elbo",
    quantities=(
        Quantity("negative_elbo_nats", f"negative ELBO, {_NATS}", "smaller", _BOUND),
        RATE,
        DISTORTION,
        BITS_PER_DIM,
    ),
    needs=(HasLikelihood,),
    order=30,
    cost=lambda context: f"{len(context.split):,} encodings and decodings",
    measure=_measure,
    settings=("seed",),
    not_applicable=lambda context: unconditional_likelihood(context.model),
    details=frozenset({"floor_nats"}),
)

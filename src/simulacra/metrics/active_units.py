"""Active units: the number of latent dimensions that carry information, a measure of posterior collapse."""

from torch import Tensor

from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, HasPosterior
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.measurement import Measurement

THRESHOLD = 0.01


def active_units(latents: Tensor) -> Measurement:
    """Return active_units: the number of dimensions of posterior means [n d] whose variance over images exceeds 0.01.

    (Burda et al. 2015, section 5.2.) A count, without a standard error.
    """
    protocol = {"threshold": THRESHOLD, "of": latents.shape[1], "quantity": "variance over images of the posterior mean"}
    return Measurement(count_active(latents), None, len(latents), protocol)


def count_active(latents: Tensor) -> int:
    """Return the number of dimensions of latents [n d] whose variance exceeds the threshold."""
    return int((latents.double().var(0, correction=0) > THRESHOLD).sum().item())


_ACTIVE = Quantity(
    "active_units",
    "active latent units",
    "neither",
    "Latent dimensions whose posterior mean varies over images; few of many indicate posterior collapse.",
)

METRIC = Metric(
    name="active_units",
    quantities=(_ACTIVE,),
    needs=(AMORTIZED_LATENT_SPACE, HasPosterior),
    order=20,
    cost=lambda context: f"{len(context.split):,} encodings",
    measure=lambda context: MetricResults({"active_units": active_units(context.latents(context.split))}),
    details=frozenset({"of"}),
)

"""Negative ELBO in nats per image, with its two terms, and bits per dimension where they have a meaning."""

import torch

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.measurement import Measurement, mean_of
from simulacra.metrics.statistics.likelihood_targets import observations
from simulacra.objectives.likelihood import bits_per_dimension


def elbo(model: HasLikelihood, split: Split, seed: int, meter: Meter) -> dict[str, Measurement]:
    """Measure negative_elbo_nats = rate_nats + distortion_nats on every image of a split, one latent sample each.

    Smaller is better. Sums over pixels and latent dimensions, mean over images.
    """
    rates, distortions = [], []
    for number, observed in observations(model, split, seed):
        with stream(seed, "evidence", number):
            terms = model.elbo(observed)
        rates.append(terms.rate)
        distortions.append(terms.distortion)
        meter.advance(len(observed))
    rate, distortion = torch.cat(rates), torch.cat(distortions)
    protocol = {"target": model.target, "latent_samples": 1, "seed": seed}
    results = {
        "negative_elbo_nats": mean_of(rate + distortion, protocol),
        "rate_nats": mean_of(rate, protocol),
        "distortion_nats": mean_of(distortion, protocol),
    }
    if model.nats_to_discrete is not None:
        dimensions = split.images[0].size
        bits = bits_per_dimension(rate + distortion + model.nats_to_discrete, dimensions)
        kind = {"bound": "negative ELBO", "dequantization": "none" if model.nats_to_discrete == 0 else "uniform"}
        results["bits_per_dim"] = mean_of(torch.as_tensor(bits), {**protocol, **kind})
    return results

"""Negative log-likelihood in nats per image, estimated with K importance samples."""

import torch

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.measurement import Measurement, mean_of
from simulacra.metrics.statistics.likelihood_targets import observations


def negative_log_likelihood(model: HasLikelihood, split: Split, particles: int, seed: int, meter: Meter) -> Measurement:
    """Measure nll_nats: minus the mean log-likelihood of every image of a split (smaller is better).

    With importance samples it is an upper bound in expectation that tightens with K (Burda et al. 2015, theorem 1).
    """
    scores = []
    kind = ""
    for number, observed in observations(model, split, seed):
        with stream(seed, "nll", number):
            result = model.log_likelihood(observed, particles)
        scores.append(-result.nats)
        kind = result.kind
        meter.advance(len(observed))
    # a lower bound of log p is an upper bound of -log p
    bound = {"lower bound": "upper bound"}.get(kind, kind)
    protocol = {"target": model.target, "importance_samples": particles, "kind": bound, "seed": seed}
    return mean_of(torch.cat(scores), protocol)

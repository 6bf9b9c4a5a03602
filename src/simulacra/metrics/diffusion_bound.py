"""Bits per dimension of models that score images step by step: a variational bound, and the density of their flow."""

from typing import Any

import torch

from simulacra.core.capabilities import HasDiffusionBound
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.measurement import Measurement, mean_of
from simulacra.objectives.likelihood import bits_per_dimension

DRAWS = 8  # steps of each image that are evaluated
BINS = 20  # pieces of the way from image to noise, over which the costs of steps are shown
PROBES = 1  # random directions in which the flow's divergence is measured
_CHUNK = 250


def diffusion_bound(model: HasDiffusionBound, split: Split, seed: int, meter: Meter) -> tuple[Measurement, dict[str, Any]]:
    """Measure bits_per_dim by the variational bound of 256 levels on every image of a split. Smaller is better.

    Also return what it consists of, in bits per dimension: prior, decoder, and the steps of each twentieth of the way.
    """
    totals, parts = [], []
    sums, drawn = torch.zeros(BINS, dtype=torch.float64), 0
    for number, batch in enumerate(split.chunks(_CHUNK)):
        with stream(seed, "step costs", number):
            found = model.diffusion_bound(batch.images, DRAWS)
        totals.append(found.total)
        parts.append(torch.stack([found.prior, found.decoder], 1))
        bins = (found.times.double() * BINS).long().clamp_max(BINS - 1).flatten()
        sums.index_add_(0, bins, found.steps.double().flatten() * found.count)
        drawn += found.steps.numel()
        meter.advance(len(batch))
    dimensions = split.images[0].size
    bits = torch.as_tensor(bits_per_dimension(torch.cat(totals), dimensions))
    prior, decoder = torch.as_tensor(bits_per_dimension(torch.cat(parts).double().mean(0), dimensions)).tolist()
    along = torch.as_tensor(bits_per_dimension(sums / drawn, dimensions)).tolist()
    protocol = {"target": "256 grey levels", "bound": "variational, 1000 levels", "dequantization": "none", "seed": seed}
    return mean_of(bits, {**protocol, "steps_drawn": DRAWS}), {"prior": prior, "decoder": decoder, "steps": along}


def flow_bits(model: HasDiffusionBound, split: Split, count: int, seed: int, meter: Meter) -> Measurement:
    """Measure flow_bits_per_dim, of the density of the probability flow, on the first `count` images. Smaller is better."""
    scores = []
    for number, batch in enumerate(split.head(count).images.split(_CHUNK)):
        with stream(seed, "flow likelihood", number):
            scores.append(-model.flow_log_likelihood(batch, PROBES).nats)
        meter.advance(len(batch))
    bits = torch.as_tensor(bits_per_dimension(torch.cat(scores), split.images[0].size))
    protocol = {"target": "256 grey levels", "kind": "estimate", "dequantization": "uniform", "probes": PROBES, "seed": seed}
    return mean_of(bits, protocol)

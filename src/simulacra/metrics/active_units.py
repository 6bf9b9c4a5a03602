"""How many latent dimensions carry information: the measure of posterior collapse."""

import torch
from torch import Tensor

from simulacra.core.capabilities import LatentSpace
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.metrics.measurement import Measurement

_CHUNK = 500
THRESHOLD = 0.01


def active_units(model: LatentSpace, split: Split, meter: Meter) -> Measurement:
    """Measure active_units: dimensions whose code varies over a split by more than 0.01 (Burda et al. 2015, section 5.2)."""
    codes = []
    for batch in split.chunks(_CHUNK):
        codes.append(model.encode(batch.images))
        meter.advance(len(batch))
    latents = torch.cat(codes)
    protocol = {"threshold": THRESHOLD, "of": latents.shape[1], "quantity": "variance over images of the posterior mean"}
    return Measurement(count_active(latents), None, len(latents), protocol)


def count_active(latents: Tensor) -> int:
    """Return how many of the dimensions of latents [n d] have a variance above the threshold."""
    return int((latents.double().var(0, correction=0) > THRESHOLD).sum().item())

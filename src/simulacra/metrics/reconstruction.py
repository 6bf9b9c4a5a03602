"""Squared error of reconstructions, per pixel."""

import torch

from simulacra.core.capabilities import Reconstructs
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.metrics.result import Measurement, mean_of

_CHUNK = 500


def mean_squared_error(model: Reconstructs, split: Split, meter: Meter) -> Measurement:
    """Measure mse: squared difference of pixels in [0, 1], mean over the pixels of an image, then over the split."""
    errors = []
    for batch in split.chunks(_CHUNK):
        errors.append(((model.reconstruct(batch.images) - batch.images) ** 2).flatten(1).mean(1))
        meter.advance(len(batch))
    return mean_of(torch.cat(errors), {"pixels": "in [0, 1]", "reconstruction": "deterministic"})

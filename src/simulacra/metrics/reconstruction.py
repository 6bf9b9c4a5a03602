"""How near reconstructions come to their originals: squared error, signal-to-noise ratio, structural similarity."""

import torch

from simulacra.core.capabilities import Reconstructs
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.metrics.measurement import Measurement, mean_of
from simulacra.metrics.psnr import psnr, psnr_db
from simulacra.metrics.ssim import WINDOW, ssim, ssim_mean

_CHUNK = 500


def reconstruction(model: Reconstructs, split: Split, meter: Meter) -> dict[str, Measurement]:
    """Measure mse, psnr_db and, from 11x11 pixels up, ssim of deterministic reconstructions of every image of a split.

    mse: squared difference of pixels in [0, 1], mean over the pixels of an image, then over the split.
    """
    errors, ratios, similarities = [], [], []
    large = min(split.images.shape[1:3]) >= WINDOW
    for batch in split.chunks(_CHUNK):
        restored = model.reconstruct(batch.images)
        errors.append(((restored - batch.images) ** 2).flatten(1).mean(1))
        ratios.append(psnr(restored, batch.images))
        if large:
            similarities.append(ssim(restored, batch.images))
        meter.advance(len(batch))
    kind = {"reconstruction": "deterministic"}
    found = {"mse": mean_of(torch.cat(errors), {"pixels": "in [0, 1]"}), "psnr_db": psnr_db(torch.cat(ratios))}
    if large:
        found["ssim"] = ssim_mean(torch.cat(similarities))
    return {name: item.under(kind) for name, item in found.items()}

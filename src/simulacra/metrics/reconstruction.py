"""Reconstruction error: mean squared error, peak signal-to-noise ratio, structural similarity."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import Reconstructs
from simulacra.core.family import model_condition
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.statistics.image_similarity import WINDOW, psnr, psnr_db, ssim, ssim_mean
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.metrics.statistics.model_inputs import in_batches

_CHUNK = 500  # images


def reconstruction(model: Reconstructs, split: Split, meter: Meter) -> dict[str, Measurement]:
    """Return mse, psnr_db and, for images of 11x11 pixels or more, ssim of deterministic reconstructions of a split.

    mse: squared difference of pixels in [0, 1], mean over the pixels of an image, then over images. Its protocol has that of the
    mean image of the split in place of every reconstruction, `mean_image`.
    """
    scores = reconstruction_scores(model, split, meter)
    found = {
        "mse": mean_of(scores["mse"], {"pixels": "in [0, 1]", "mean_image": mean_image_error(split)}),
        "psnr_db": psnr_db(scores["psnr_db"]),
    }
    if "ssim" in scores:
        found["ssim"] = ssim_mean(scores["ssim"])
    return {name: item.under({"reconstruction": "deterministic"}) for name, item in found.items()}


def reconstruction_scores(model: Reconstructs, split: Split, meter: Meter) -> dict[str, Tensor]:
    """Return the numbers of `reconstruction` of each image of a split, [n] on the CPU."""
    scores: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": _squared_error, "psnr_db": psnr}
    if min(split.images.shape[1:3]) >= WINDOW:
        scores["ssim"] = ssim

    def compared(number: int, batch: Batch) -> dict[str, Tensor]:
        reconstructed = model.reconstruct(batch.images, model_condition(model, batch))
        return {name: score(reconstructed, batch.images).cpu() for name, score in scores.items()}

    return in_batches(model, split, compared, meter, _CHUNK)


def _squared_error(reconstructed: Tensor, images: Tensor) -> Tensor:
    return ((reconstructed - images) ** 2).flatten(1).mean(1)


def mean_image_error(split: Split) -> float:
    """Return the mean squared error of the mean image of a split, in place of each of its images: the variance of the pixels."""
    sums, squares = torch.zeros((), dtype=torch.float64), 0.0
    for batch in split.chunks(_CHUNK):
        pixels = batch.images.double()
        sums, squares = sums + pixels.sum(0), squares + pixels.square().sum().item()
    mean = sums / len(split)
    return max(squares / (len(split) * mean.numel()) - mean.square().mean().item(), 0.0)


def _measure(context: EvaluationContext) -> MetricResults:
    with context.progress.task("reconstruction", len(context.split), "images") as meter:
        found = reconstruction(cast(Reconstructs, context.model), context.split, meter)
    small = f"images are smaller than the window of {WINDOW}x{WINDOW} pixels"
    return MetricResults(found, {} if "ssim" in found else {"ssim": small})


_PSNR = "Peak signal-to-noise ratio (PSNR) of reconstructions, mean over images."

METRIC = Metric(
    name="reconstruction",
    quantities=(
        Quantity("mse", "mean squared error", "smaller", "Squared error of reconstructions, for pixels in [0, 1]."),
        Quantity("psnr_db", "peak signal-to-noise ratio, dB", "larger", _PSNR),
        Quantity("ssim", "structural similarity", "larger", "Structural similarity (SSIM) of reconstructions; 1 means equal."),
    ),
    needs=(Reconstructs,),
    order=10,
    cost=lambda context: f"{len(context.split):,} reconstructions",
    measure=_measure,
    details=frozenset({"mean_image"}),
)

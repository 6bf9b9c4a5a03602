"""Diversity of generated images in pixels, a monitor of training; `metrics/diversity.py` measures the number to report."""

import torch
from torch import Tensor

from simulacra.core.capabilities import Samples
from simulacra.core.device import images_per_call, model_device
from simulacra.core.progress import SILENT
from simulacra.core.randomness import noise
from simulacra.data.synthetic.known_densities import KnownDensity, points_of
from simulacra.metrics.diversity import mean_pairwise_distance
from simulacra.metrics.statistics.distances import cloud, middle, nearest
from simulacra.metrics.statistics.point_density import modes_covered
from simulacra.runs.label_shares import LabelShares

MIN_IMAGES = 10  # generated and real images
_IMAGES, _VALUES = 256, 2**23  # most generated images, and most values of all of them
_EVALUATIONS = 64 * 20  # most evaluations of the network for all of them
_POINTS = 2500  # generated points to count modes: a hundred for each of 25
_CHUNK = 256  # images per call of the generator on a CPU


def sample_size(dimensions: int, evaluations: int = 1) -> int:
    """Return the number of images to generate, of so many values and network evaluations each."""
    return max(MIN_IMAGES, min(_IMAGES, _VALUES // dimensions, _EVALUATIONS // evaluations))


def sample_diversity(
    family: Samples, real: Tensor, density: KnownDensity | None, seed: int, shares: LabelShares
) -> dict[str, float]:
    """Return diversity and distinctness of images generated from fixed noise, and the modes that they cover.

    real: float [n c h w] in [0, 1] on the CPU, compared with as many generated images; below 10, diversity and distinctness are
    left out. density: that of the data, if known; without it the modes are left out. shares: of the labels of generated images.
    All values are left out if generated images are not finite. The family must be in evaluation mode.
    """
    count = max(len(real), _POINTS) if density else len(real)
    device = model_device(family)
    chunk = images_per_call(device, real[0].numel(), _CHUNK)
    pieces = noise(seed, 0, count, family.noise_shape).split(chunk)
    conditions = [shares.condition(piece).to(device) for piece in pieces]
    generated = (family.generate(piece.to(device), given) for piece, given in zip(pieces, conditions, strict=True))
    images = torch.cat([part.float().cpu() for part in generated])
    if not images.isfinite().all():
        return {}
    found = pixel_diversity(images[: len(real)], real) if len(real) >= MIN_IMAGES else {}
    if density:
        found |= {"modes_covered": modes_covered(points_of(images), density).value, "modes": len(density.shares)}
    return found


def pixel_diversity(generated: Tensor, real: Tensor) -> dict[str, float]:
    """Return diversity and distinctness of as many generated and real images, both [n c h w] in [0, 1]; 1: as real ones.

    diversity: mean Euclidean distance over all pairs of generated images, divided by that of real ones. distinctness: mean
    distance of a generated image to the nearest other one, divided by that of real ones; it decreases with n, hence equal
    numbers. Diversity is near 0 if all images are similar, distinctness also if a few different images are repeated. A ratio is
    left out if all real images are equal. Raises UsageError below 10 images on either side.
    """
    ours, theirs = _distances(generated.flatten(1)), _distances(real.flatten(1))
    return {name: ours[name] / theirs[name] for name in ours if theirs[name] > 0}


def _distances(rows: Tensor) -> dict[str, float]:
    """Return the mean distances of rows [n d] to all others and to the nearest other one."""
    with SILENT.task("distances", None, "images") as meter:
        pairwise = mean_pairwise_distance(rows, meter).value
        points = cloud(rows, middle(rows))
        found, _ = nearest(points, points, 1, meter, same=True)
    return {"diversity": pairwise, "distinctness": found.mean().item()}

"""How varied what a model generates is, measured at each look at a training: from the same noise every time."""

import torch
from torch import Tensor

from simulacra.core.capabilities import Samples
from simulacra.core.randomness import noise
from simulacra.data.synthetic.known_densities import KnownDensity, points_of
from simulacra.metrics.known_density import modes_covered
from simulacra.training.pixel_diversity import LEAST, variety

_IMAGES, _VALUES = 256, 2**23  # images that are drawn at a look, at most, and pixel values of them all
_EVALUATIONS = 64 * 20  # of the network for them all, at most
_POINTS = 2500  # points that are drawn to count modes: a hundred for each of 25
_AT_ONCE = 256  # images that are made together


def enough(dimensions: int, evaluations: int = 1) -> int:
    """Return how many images of so many values are looked at, fewer where each takes many evaluations of the network."""
    return max(LEAST, min(_IMAGES, _VALUES // dimensions, _EVALUATIONS // evaluations))


def varied(family: Samples, real: Tensor, law: KnownDensity | None, seed: int) -> dict[str, float]:
    """Return diversity and distinctness of generated images against real ones [n c h w], and the modes that points reach.

    The first two are left out where there are fewer than 10 real images, all where generated ones are not finite. The family is
    in evaluation mode, and real images are on its device.
    """
    count = max(len(real), _POINTS) if law else len(real)
    drawn = noise(seed, 0, count, family.noise_shape).to(real.device)
    images = torch.cat([family.generate(part).float() for part in drawn.split(_AT_ONCE)])
    if not images.isfinite().all():
        return {}
    found = variety(images[: len(real)], real) if len(real) >= LEAST else {}
    if law:
        found |= {"modes_covered": modes_covered(points_of(images), law).value, "modes": len(law.shares)}
    return found

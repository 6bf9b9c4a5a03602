"""Filling in what is missing of an image, with a model that was never trained to."""

from torch import Tensor

from simulacra.diffusion.noise_levels import Level
from simulacra.diffusion.samplers import Denoiser, Estimate


def inpainting(denoise: Denoiser, images: Tensor, known: Tensor) -> Denoiser:
    """Return a denoiser whose estimate is right where pixels are known: there it is the image (Song et al. 2021, app. I.2).

    images: [b ...]; known: 1 where a pixel is known and 0 where not, broadcast against them. Theirs replaces the noisy pixels by
    the known ones with fresh noise; replacing the estimate lets any sampler be used, and deterministic ones stay so. Either way
    what is known acts on the rest through the network alone, so that results are plausible, not draws of the exact posterior.
    """

    def filled(noisy: Tensor, level: Level) -> Estimate:
        found = denoise(noisy, level)
        return Estimate(known * images + (1 - known) * found.image, found.share)

    return filled

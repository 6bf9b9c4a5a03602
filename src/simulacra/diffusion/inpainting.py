"""Inpainting with a diffusion or flow model that was not trained for it."""

from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels
from simulacra.diffusion.samplers import Denoiser, DenoiserOutput


def inpainting_denoiser(denoiser: Denoiser, images: Tensor, known: Tensor) -> Denoiser:
    """Return a denoiser that predicts the given images [b ...] at known pixels (after Song et al. 2021, appendix I.2).

    known: 1 for known and 0 for missing pixels, broadcast against images. The paper replaces the noisy pixels by the known ones
    with fresh noise; replacing the prediction works with every sampler and keeps deterministic samplers deterministic. In both
    cases the known pixels influence the others through the network only, so results are plausible, but not samples from the exact
    posterior.
    """

    def denoise(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
        output = denoiser(noisy, level)
        return DenoiserOutput(known * images + (1 - known) * output.image, output.variance_interpolation)

    return denoise

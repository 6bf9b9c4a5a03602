"""The answers of the numeric questions on diffusion models, by the toolkit."""

import torch
from tests.quizzes.answers import check
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import SamplingPlan
from simulacra.diffusion.noise_levels import NoiseLevels, variance_preserving
from simulacra.diffusion.parameterizations import image_from_output, v
from simulacra.diffusion.samplers import DenoiserOutput, classifier_free_guidance, no_noise, sample_ddim
from simulacra.diffusion.schedules import cosine, sampling_levels
from simulacra.families.diffusion import Diffusion, DiffusionConfig


def level(alpha: float, sigma: float) -> NoiseLevels:
    return NoiseLevels(*(torch.tensor(value, dtype=torch.float64) for value in (0.5, alpha, sigma)))


def steps_until_exact() -> float:
    """Return the least number of steps of DDIM whose result is the only image, 0.3."""

    def denoiser(noisy: Tensor, at: NoiseLevels) -> DenoiserOutput:
        return DenoiserOutput(torch.full_like(noisy, 0.3))

    start = torch.randn(100, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    path = variance_preserving(cosine)
    reached = (sample_ddim(denoiser, start, sampling_levels(path, steps, "time"), no_noise) for steps in range(1, 5))
    return next(steps for steps, images in enumerate(reached, 1) if torch.allclose(images, torch.tensor(0.3)))


def guided_evaluations() -> float:
    family = Diffusion(DiffusionConfig(features=(8,), conditional=True), DataSpec(1, 8, 8, classes=("0", "1")))
    return family.evaluations(SamplingPlan("heun", 10, guidance_scale=2.0))


ANSWERS = {
    "snr-in-the-middle": lambda: float(level(0.6, 0.8).snr),
    "image-from-v": lambda: float(image_from_output(torch.tensor([0.5]), torch.tensor([1.0]), level(0.8, 0.6), v)),
    "steps-for-one-image": steps_until_exact,
    "guided-estimate": lambda: float(classifier_free_guidance(torch.tensor(0.5), torch.tensor(0.2), 2.0)),
    "evaluations-of-guidance": guided_evaluations,
}


def test_answers_of_diffusion() -> None:
    check("diffusion", ANSWERS)

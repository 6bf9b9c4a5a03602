"""Training of denoisers, and sampling, restoration, encoding and likelihoods with them.

A family supplies its process: the noise levels, the parameterization of the network's output, and the weight of an error.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import (
    Denoises,
    DiffusionBound,
    HasDiffusionBound,
    HasFeatures,
    LatentSpace,
    LogLikelihood,
    Restores,
    SamplesIteratively,
    SamplingPlan,
)
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import option
from simulacra.core.errors import UsageError, unknown
from simulacra.core.family import Family, Loss, Turn, training_condition
from simulacra.core.randomness import Streams, generator
from simulacra.diffusion import samplers as sampling
from simulacra.diffusion.bounds import diffusion_bound, step_bits_per_dimension
from simulacra.diffusion.flow_density import flow_log_density
from simulacra.diffusion.loss_weights import output_weight
from simulacra.diffusion.noise_levels import NoiseLevels, ProbabilityPath, add_noise, broadcast_like, pixel_range
from simulacra.diffusion.parameterizations import Parameterization, image_from_output, input_scale, training_target
from simulacra.diffusion.samplers import SAMPLERS, Denoiser, DenoiserOutput
from simulacra.diffusion.schedules import Spacing, sampling_levels, spaced_levels
from simulacra.networks.captions import caption_vocabulary, drop_captions
from simulacra.networks.kernels.memory_layout import flatten
from simulacra.networks.labels import drawn_labels, label_sizes, unknown_labels
from simulacra.networks.unet import UNet, UNetConfig

_INVERSION = 30  # Heun steps of encoding and of decoding
_FEATURE_GRID = 4  # rows and columns, at most, of the regions over which features are averaged


@dataclass(frozen=True)
class DenoisingConfig(UNetConfig):
    """Settings that all denoising families share."""

    conditional: bool = option(False, "condition on the labels of the images")
    captions: bool = option(False, "condition on the captions of the images, texts of a small closed vocabulary")
    label_dropout: float = option(
        0.1, "conditional, captions: probability of training on an image without its label or caption", low=0, high=0.9
    )
    sampler: Literal["dpmpp-2m", "ddim", "heun", "euler", "ancestral"] = option("dpmpp-2m", "default sampler")
    sampling_steps: int = option(20, "default number of sampling steps", low=1)
    guidance_scale: float = option(1.0, "conditional, captions: classifier-free guidance scale; 1 disables guidance", low=0)
    eta: float = option(0.0, "ddim: share of fresh noise in each step; 0 is deterministic, 1 ancestral", low=0, high=1)

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        super().validate()
        if self.conditional and self.captions:
            raise UsageError("conditional and captions are both on: condition on the labels or on the captions, not on both")
        if self.guidance_scale != 1 and not (self.conditional or self.captions):
            needed = "needs labels or captions: add --conditional or --captions"
            raise UsageError(f"guidance_scale is {self.guidance_scale}, which {needed}, or leave it at 1")
        if (self.conditional or self.captions) and self.label_dropout == 0:
            what = "labels" if self.conditional else "captions"
            raise UsageError(f"label_dropout is 0: a conditional model must also train on images without {what}, such as 0.1")
        _check_eta(self.eta, self.sampler)


@dataclass(frozen=True)
class DenoisingProcess:
    """The choices that distinguish denoising families.

    path: the noise levels; parameterization: of the network's output; weight: of a squared error of the image at a level;
    times: from a count and a device to training times [n] in [0, 1]; spacing: of the levels of every sampler, None for its own;
    learned: whether the network also predicts the variance of a reverse step.
    """

    path: ProbabilityPath
    parameterization: Parameterization
    weight: Callable[[NoiseLevels], Tensor]
    times: Callable[[int, torch.device], Tensor]
    spacing: Spacing | None = None
    learned: bool = False

    def levels(self, sampler: str, steps: int) -> NoiseLevels:
        """Return the levels of a sampler's steps, the image itself last."""
        return sampling_levels(self.path, steps, self.spacing or SAMPLERS[sampler].spacing)


class DenoisingGame(Family, SamplesIteratively, Restores, LatentSpace, HasFeatures, HasDiffusionBound, Denoises):
    """One player, a U-Net that denoises images. Its inputs and outputs are in [-1, 1]."""

    samplers = tuple(name for name in SAMPLERS if name != "average")
    prior = "standard normal"
    amortized = False
    degradations = "missing pixels"
    conditional_likelihood = False  # latents and likelihoods are those of the unconditional model

    def __init__(self, config: DenoisingConfig, data: DataSpec, process: DenoisingProcess, *, spans: bool = False) -> None:
        super().__init__()
        self.config, self.data, self.process = config, data, process
        self.label_sizes, self.latent_dim = label_sizes(data, config.conditional), data.dimensions
        self.vocabulary = caption_vocabulary(data, config.captions)
        self.network = UNet(data, data.channels * (1 + process.learned), config, self.label_sizes, self.vocabulary, spans=spans)

    def players(self) -> dict[str, nn.Module]:
        """Return the network."""
        return {"denoiser": self.network}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: the error on noisy images."""
        return (Turn(self._losses),)

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        """Weighted squared error of the output, a mean over pixels and images; each image has its own noise level.

        A learned variance adds its term of the variational bound (Nichol & Dhariwal 2021, eq. 16).
        """
        images = 2 * batch.images - 1
        level = self.process.path(self.process.times(len(images), images.device))
        noisy = add_noise(images, torch.randn_like(images), level)
        condition = training_condition(self.accepts, batch).map(self._without_some)
        output, share = self._outputs(noisy, level, condition)
        parameterization = self.process.parameterization
        target = training_target(images, noisy, level, parameterization)
        errors = flatten((output - target) ** 2).mean(1)
        weight = output_weight(self.process.weight(level), parameterization(level)).float()
        total, parts = (weight * errors).mean(), {"output_mse": errors.mean()}
        if share is not None:
            image = image_from_output(output.detach(), noisy, level, parameterization)  # the bound trains the variance only
            parts["step_bits_per_dim"] = step_bits_per_dimension(
                DenoiserOutput(image, share), images, noisy, level, self.process.path
            )
            total = total + parts["step_bits_per_dim"]
        return {"denoiser": Loss(total, parts)}

    def _without_some(self, given: Tensor) -> Tensor:
        """Replace labels or captions by missing ones with probability `label_dropout` (Ho & Salimans 2022, algorithm 1)."""
        if self.vocabulary is not None:
            return drop_captions(given, self.config.label_dropout)
        dropped = torch.rand(len(given), device=given.device) < self.config.label_dropout
        missing = unknown_labels(len(given), self.label_sizes, given.device)
        return torch.where(dropped if given.ndim == 1 else dropped[:, None], missing, given)

    def estimate(self, noisy: Tensor, level: NoiseLevels, condition: Condition = UNCONDITIONAL) -> DenoiserOutput:
        """Return the estimated images, approximately in [-1, 1], of noisy images at one level or one level each."""
        output, share = self._outputs(noisy, level, condition)
        return DenoiserOutput(image_from_output(output, noisy, level, self.process.parameterization), share)

    def _outputs(self, noisy: Tensor, level: NoiseLevels, condition: Condition) -> tuple[Tensor, Tensor | None]:
        """Return the network's output and, if learned, the interpolation of the variance (0.5 for an output of 0): [b c h w]."""
        scaled = broadcast_like(input_scale(level), noisy) * noisy
        spans = None if level.end is None else level.time - level.end
        both = self.network(scaled, level.time, condition.labels, condition.tokens, spans).float()
        if not self.process.learned:
            return both, None
        output, share = both.chunk(2, dim=1)
        return output, 0.5 * (share + 1)

    def features(self, images: Tensor, level: float, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return features [b d]: the lowest resolution of the U-Net, averaged over regions of a grid of at most 4x4.

        Baranchuk et al. (2021) and Xiang et al. (2023) show that features of a denoiser are linearly separable by class. Noise of
        the time `level` is added to all images, the same noise to each, so that features are a function of the image.
        """
        require_accepted(self, condition, len(images))
        noise = torch.randn(self.data.shape, generator=generator(0, "features")).to(images.device)
        at = self.process.path(torch.tensor(level, device=images.device))
        noisy = add_noise(2 * images - 1, noise.expand_as(images), at)
        scaled = broadcast_like(input_scale(at), noisy) * noisy
        maps = self.network.features(scaled, at.time, condition.labels, condition.tokens).float()
        return F.adaptive_avg_pool2d(maps, (min(maps.shape[2], _FEATURE_GRID), min(maps.shape[3], _FEATURE_GRID))).flatten(1)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """One number for each value of an image, and one for each label."""
        return (self.data.dimensions + len(self.label_sizes),)

    @property
    def plan(self) -> SamplingPlan:
        """The plan of the settings."""
        return self._plan_of_settings

    @property
    def _plan_of_settings(self) -> SamplingPlan:
        return SamplingPlan(self.config.sampler, self.config.sampling_steps, self.config.guidance_scale, self.config.eta)

    def evaluations(self, plan: SamplingPlan) -> int:
        """Return the number of network evaluations for one image; guidance doubles it."""
        each = SAMPLERS[plan.sampler].evaluations
        return (plan.steps * each - (each - 1)) * (1 if plan.guidance_scale == 1 else 2)

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1], by the plan of the settings."""
        return self.sample_with_plan(noise, condition, self.plan, lambda: None)

    def sample_with_plan(self, noise: Tensor, condition: Condition, plan: SamplingPlan, advance: Callable[[], None]) -> Tensor:
        """Return images [b c h w] in [0, 1], by a plan."""
        self.check(plan)
        return pixel_range(self._sampled(noise, self._denoiser(self._drawn(noise, condition), plan, advance), plan))

    def _drawn(self, noise: Tensor, condition: Condition) -> Condition:
        """Return a condition with labels: those that are given, or else drawn from the noise. Captions are given or missing."""
        require_accepted(self, condition, len(noise))
        return replace(condition, labels=drawn_labels(noise, condition.labels, self.label_sizes)[1])

    def _pixels(self, noise: Tensor) -> Tensor:
        return noise[:, : self.data.dimensions].unflatten(1, self.data.shape)

    def _sampled(self, noise: Tensor, denoise: Denoiser, plan: SamplingPlan) -> Tensor:
        """Return images in [-1, 1] that the plan's sampler generates from noise [b *noise_shape]."""
        levels = self.process.levels(plan.sampler, plan.steps)
        start = levels[0].spread * self._pixels(noise).float()
        draw: sampling.NoiseSource = sampling.no_noise
        if SAMPLERS[plan.sampler].stochastic or plan.eta:
            draw = partial(Streams(noise).draw, *self.data.shape)
        return SAMPLERS[plan.sampler].sample(denoise, start, levels, draw, eta=plan.eta)

    def restore(self, degraded: Tensor, known: Tensor, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1], unchanged where `known` and sampled by the plan of the settings elsewhere."""
        require_accepted(self, condition, len(degraded))
        plan = self._plan_of_settings  # of many small steps, each of which replaces the known pixels
        denoise = self._denoiser(condition, replace(plan, guidance_scale=1.0), lambda: None)
        return pixel_range(self._sampled(noise, sampling.inpainting_denoiser(denoise, 2 * degraded - 1, known), plan))

    def forward_process(self, images: Tensor, noise: Tensor, count: int, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return noisy images at evenly spaced times: [count b c h w] in [0, 1]."""
        require_accepted(self, condition, len(images))
        levels = self.process.path(torch.linspace(0, 1, count)[1:])
        drawn = self._pixels(noise)
        return torch.stack([images, *(pixel_range(add_noise(2 * images - 1, drawn, level)) for level in levels)])

    def denoise(self, images: Tensor, noise: Tensor, time: float, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the estimated images [b c h w] in [0, 1] of noisy images at the level of a time in [0, 1]."""
        require_accepted(self, condition, len(images))
        level = self.process.path(torch.full((len(images),), time, device=images.device))
        noisy = add_noise(2 * images - 1, self._pixels(noise), level)
        return pixel_range(self.estimate(noisy, level, condition).image)

    def reverse_process(self, noise: Tensor, count: int, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return intermediate states of the sampler and its result: [count b c h w] in [0, 1]."""
        denoise, states = self._denoiser(self._drawn(noise, condition), self.plan, lambda: None), list[Tensor]()

        def recording(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
            states.append(pixel_range(noisy))
            return denoise(noisy, level)

        images = pixel_range(self._sampled(noise, recording, self.plan))
        chosen = torch.linspace(0, len(states), count).round().int().tolist()
        return torch.stack([(*states, images)[place] for place in chosen])

    def _denoiser(self, condition: Condition, plan: SamplingPlan, advance: Callable[[], None]) -> Denoiser:
        """Return the denoiser for samplers: with guidance, images clipped to [-1, 1] (Ho et al. 2020).

        The image of an average velocity is not clipped unless the step ends at it.
        """
        reduced = plan.precision != torch.float32

        def estimated(noisy: Tensor, level: NoiseLevels, given: Condition) -> DenoiserOutput:
            with torch.autocast(noisy.device.type, plan.precision, enabled=reduced):
                found = self.estimate(noisy, level, given)
            advance()
            return found

        def denoise(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
            found = estimated(noisy, level, condition)
            image = found.image
            if plan.guidance_scale != 1:
                unconditional = estimated(noisy, level, replace(condition, labels=None, tokens=None)).image
                image = sampling.classifier_free_guidance(image, unconditional, plan.guidance_scale)
            is_image = level.end is None or level.end == 0
            return DenoiserOutput(image.clamp(-1, 1) if is_image else image, found.variance_interpolation)

        return denoise

    def check(self, plan: SamplingPlan) -> None:
        """Raise UsageError for a plan that cannot be followed."""
        if plan.sampler not in self.samplers:
            raise unknown("sampler", plan.sampler, self.samplers)
        if plan.steps < 1:
            raise UsageError(f"steps is {plan.steps}, expected at least 1")
        if plan.guidance_scale != 1 and not self.accepts:
            raise UsageError(f"guidance_scale is {plan.guidance_scale}, and this model is not conditional: leave it at 1")
        if plan.guidance_scale < 0 or not 0 <= plan.eta <= 1:
            values = f"guidance_scale is {plan.guidance_scale} and eta {plan.eta}"
            raise UsageError(f"{values}, expected at least 0 and a share in [0, 1]")
        _check_eta(plan.eta, plan.sampler)

    def encode(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return latents [b d], approximately standard normal, by solving the probability flow ODE up to the noisiest level."""
        require_accepted(self, condition, len(images))
        levels = self._levels_between()
        denoise = partial(self.estimate, condition=condition)
        noisy = sampling.sample_heun(denoise, float(levels.alpha[0]) * (2 * images - 1), levels, sampling.no_noise)
        return (noisy / levels[-1].spread).flatten(1)

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the images [b c h w] in [0, 1] of latents [b d], by solving the ODE back."""
        require_accepted(self, condition, len(latents))
        levels = self._levels_between().reversed()
        noisy = levels[0].spread * latents.float().unflatten(1, self.data.shape)
        denoise = partial(self.estimate, condition=condition)
        return pixel_range(sampling.sample_heun(denoise, noisy, levels, sampling.no_noise) / float(levels.alpha[-1]))

    def _levels_between(self) -> NoiseLevels:
        """Return the levels from the least noisy, where images count as noise-free, to the noisiest."""
        return spaced_levels(self.process.path, _INVERSION + 1, self.process.spacing or SAMPLERS["heun"].spacing).reversed()

    def diffusion_bound(self, images: Tensor, draws: int, condition: Condition = UNCONDITIONAL) -> DiffusionBound:
        """Return the terms of the bound of a chain of 1000 levels."""
        require_accepted(self, condition, len(images))
        return diffusion_bound(partial(self.estimate, condition=condition), 2 * images - 1, self.process.path, draws)

    def flow_log_likelihood(self, images: Tensor, probes: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Return log p of the levels of images, under the distribution that `decode` maps noise to: an estimate.

        The log density of a uniformly dequantized image, plus the log of a grey level's width: in expectation a lower bound
        (Theis et al. 2016, section 3.1), up to the errors of the solver and of the divergence estimate.
        """
        require_accepted(self, condition, len(images))
        levels = self._levels_between()
        start = float(levels.alpha[0])
        dequantized = (255 * images + torch.rand_like(images)) / 256
        denoise = partial(self.estimate, condition=condition)
        density = flow_log_density(denoise, start * (2 * dequantized - 1), levels, probes)
        width = math.log(2 * start / 256)  # of a grey level, on the scale at the first noise level
        return LogLikelihood((density + self.data.dimensions * width).float(), "estimate")


def _check_eta(eta: float, sampler: str) -> None:
    if eta and sampler != "ddim":
        raise UsageError(f"eta is {eta}, which only sampler 'ddim' has, not {sampler!r}: leave it at 0")

"""The game of one: a network that learns to see the image in a noisy one, and all that can be done with it.

A family says which process it is: which noise levels there are, what the network's output means, and what an error costs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import (
    DiffusionBound,
    HasDiffusionBound,
    Inverts,
    LogLikelihood,
    Restores,
    SamplesIteratively,
    SamplingPlan,
)
from simulacra.core.errors import UsageError, unknown
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.randomness import Streams
from simulacra.diffusion.bounds import CHAIN_LENGTH, decoder_nats, prior_nats, step_nats, step_probabilities
from simulacra.diffusion.flow_density import flow_log_density
from simulacra.diffusion.guidance import classifier_free_guidance
from simulacra.diffusion.inpainting import inpainting_denoiser
from simulacra.diffusion.loss_weights import output_weight
from simulacra.diffusion.noise_levels import NoiseLevels, ProbabilityPath, add_noise, broadcast_like
from simulacra.diffusion.parameterizations import Parameterization, image_from_output, input_scale, training_target
from simulacra.diffusion.samplers import SAMPLERS, Denoiser, DenoiserOutput, NoiseSource, no_noise, sample_heun
from simulacra.diffusion.schedules import Spacing, chain_levels, sampling_levels, spaced_levels, stratified_times
from simulacra.games.adversarial import given_labels
from simulacra.games.denoising_config import DenoisingConfig
from simulacra.networks.labels import classes_of, drawn_classes, noise_size
from simulacra.networks.unet import UNet

_INVERSION = 30  # steps from image to noise and back


@dataclass(frozen=True)
class DenoisingProcess:
    """What tells one denoising family from another.

    path: its noise levels; kind: what the network's output means; weight: what a squared error of the image costs at a level;
    times: from a count and a device to times [n] in [0, 1] to train at; spacing: the grid of every sampler, None for its own;
    learned: whether the network also says which variance a step back has.
    """

    path: ProbabilityPath
    kind: Parameterization
    weight: Callable[[NoiseLevels], Tensor]
    times: Callable[[int, torch.device], Tensor]
    spacing: Spacing | None = None
    learned: bool = False

    def levels(self, sampler: str, steps: int) -> NoiseLevels:
        """Return the levels at which a sampler stands, the image itself last."""
        return sampling_levels(self.path, steps, self.spacing or SAMPLERS[sampler].spacing)


class DenoisingGame(Family, SamplesIteratively, Restores, Inverts, HasDiffusionBound):
    """One player: a U-Net that is shown noisy images and their noise level. Inside, images are in [-1, 1]."""

    samplers: ClassVar[tuple[str, ...]] = tuple(SAMPLERS)

    def __init__(self, config: DenoisingConfig, data: DataSpec, process: DenoisingProcess) -> None:
        super().__init__()
        self.config, self.data, self.process = config, data, process
        self.classes = classes_of(data, config.conditional)
        self.network = UNet(data, data.channels * (1 + process.learned), config.shape, self.classes)

    # --- training

    def players(self) -> dict[str, nn.Module]:
        """Return the network."""
        return {"denoiser": self.network}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: noisy images, and how far the estimate is off."""
        return (Turn(self._losses),)

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        """Weighted squared error of the output, a mean over pixels and images, at a noise level of its own for each image.

        A learned variance adds what it costs in the variational bound (Nichol & Dhariwal 2021, eq. 16).
        """
        images = 2 * batch.images - 1
        level = self.process.path(self.process.times(len(images), images.device))
        noisy = add_noise(images, torch.randn_like(images), level)
        labels = given_labels(batch, self.config.conditional)
        output, share = self._outputs(noisy, level, None if labels is None else self._without_some(labels))
        target = training_target(images, noisy, level, self.process.kind)
        errors = ((output - target) ** 2).flatten(1).mean(1)
        weight = output_weight(self.process.weight(level), self.process.kind(level)).float()
        total, parts = (weight * errors).mean(), {"output_mse": errors.mean()}
        if share is not None:
            fixed = DenoiserOutput(self._image(output.detach(), noisy, level), share)  # the bound moves the variance alone
            parts["step_bits_per_dim"] = self._step_bits(fixed, images, noisy, level)
            total = total + parts["step_bits_per_dim"]
        return {"denoiser": Loss(total, parts)}

    def _step_bits(self, estimate: DenoiserOutput, images: Tensor, noisy: Tensor, level: NoiseLevels) -> Tensor:
        """Return what steps of a chain of 1000 cost, in bits per dimension, a mean over images: 0.001 times the whole bound.

        The first step back, which ends with the image itself, has a variance of its own and is left out.
        """
        width = 1 / (CHAIN_LENGTH - 1)
        here = self.process.path(level.time.clamp_min(width))
        nats = step_nats(estimate, images, noisy, here, self.process.path(here.time - width))
        return nats.mean() / (self.data.dimensions * math.log(2))

    def _without_some(self, labels: Tensor) -> Tensor:
        """Return labels, of which a share is replaced by no class (Ho & Salimans 2022, algorithm 1)."""
        dropped = torch.rand(labels.shape, device=labels.device) < self.config.label_dropout
        return labels.masked_fill(dropped, self.classes)

    # --- what the network says

    def estimate(self, noisy: Tensor, level: NoiseLevels, labels: Tensor | None = None) -> DenoiserOutput:
        """Return the estimated images, in [-1, 1] or about, of noisy ones at one level or one for each."""
        output, share = self._outputs(noisy, level, labels)
        return DenoiserOutput(self._image(output, noisy, level), share)

    def _image(self, output: Tensor, noisy: Tensor, level: NoiseLevels) -> Tensor:
        return image_from_output(output, noisy, level, self.process.kind)

    def _outputs(self, noisy: Tensor, level: NoiseLevels, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the network's output and the share of the variance, 0.5 where it says 0, if that is learned: [b c h w]."""
        both = self.network(broadcast_like(input_scale(level), noisy) * noisy, level.time, labels).float()
        if not self.process.learned:
            return both, None
        output, share = both.chunk(2, dim=1)
        return output, 0.5 * (share + 1)

    # --- from noise to images

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """As many numbers as an image has, and one that draws the class where there are classes."""
        return (noise_size(self.data.dimensions, self.classes),)

    @property
    def plan(self) -> SamplingPlan:
        """The plan of the settings."""
        config = self.config
        return SamplingPlan(config.sampler, config.sampling_steps, config.guidance_scale, config.eta)

    def evaluations(self, plan: SamplingPlan) -> int:
        """Return the network's evaluations of an image."""
        each = SAMPLERS[plan.sampler].evaluations
        return (plan.steps * each - (each - 1)) * (1 if plan.guidance_scale == 1 else 2)

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images [b c h w] in [0, 1], by the plan of the settings."""
        return self.sample_with_plan(noise, labels, self.plan, _pass)

    def sample_with_plan(self, noise: Tensor, labels: Tensor | None, plan: SamplingPlan, advance: Callable[[], None]) -> Tensor:
        """Return images [b c h w] in [0, 1], by a plan."""
        self.check(plan)
        _, labels = drawn_classes(noise, labels, self.classes)
        return _shown(self._walked(noise, self._denoiser(labels, plan, advance), plan))

    def _walked(self, noise: Tensor, denoise: Denoiser, plan: SamplingPlan) -> Tensor:
        """Return images in [-1, 1] that a denoiser makes of noise [b *noise_shape]."""
        pixels, _ = drawn_classes(noise, None, self.classes)
        levels = self.process.levels(plan.sampler, plan.steps)
        start = self._spread(levels[0]) * pixels.float().unflatten(1, self.data.shape)
        draw: NoiseSource = no_noise
        if SAMPLERS[plan.sampler].stochastic or plan.eta:
            draw = partial(Streams(noise).draw, *self.data.shape)
        return SAMPLERS[plan.sampler].sample(denoise, start, levels, draw, eta=plan.eta)

    def restore(self, images: Tensor, known: Tensor, noise: Tensor) -> Tensor:
        """Return images [b c h w] in [0, 1], given where known and made of noise elsewhere, by the plan of the settings."""
        denoise = self._denoiser(None, replace(self.plan, guidance_scale=1.0), _pass)
        return _shown(self._walked(noise, inpainting_denoiser(denoise, 2 * images - 1, known.float()), self.plan))

    def forward_process(self, images: Tensor, noise: Tensor, moments: int) -> Tensor:
        """Return images at evenly spaced times of the way to noise: [moments b c h w] in [0, 1]."""
        pixels, _ = drawn_classes(noise, None, self.classes)
        levels = self.process.path(torch.linspace(0, 1, moments)[1:])
        drawn = pixels.unflatten(1, self.data.shape)
        return torch.stack([images, *(_shown(add_noise(2 * images - 1, drawn, level)) for level in levels)])

    def reverse_process(self, noise: Tensor, labels: Tensor | None, moments: int) -> Tensor:
        """Return what the sampler is given at some of its steps, and what it makes: [moments b c h w] in [0, 1]."""
        _, labels = drawn_classes(noise, labels, self.classes)
        denoise, seen = self._denoiser(labels, self.plan, _pass), list[Tensor]()

        def seeing(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
            seen.append(_shown(noisy))
            return denoise(noisy, level)

        made = _shown(self._walked(noise, seeing, self.plan))
        chosen = torch.linspace(0, len(seen), moments).round().int().tolist()
        return torch.stack([(*seen, made)[place] for place in chosen])

    def _denoiser(self, labels: Tensor | None, plan: SamplingPlan, advance: Callable[[], None]) -> Denoiser:
        """Return the denoiser that samplers see: guided, its images held in [-1, 1] (as Ho et al. 2020 do)."""
        reduced = plan.precision != torch.float32

        def estimated(noisy: Tensor, level: NoiseLevels, asked: Tensor | None) -> DenoiserOutput:
            with torch.autocast(noisy.device.type, plan.precision, enabled=reduced):
                found = self.estimate(noisy, level, asked)
            advance()
            return found

        def denoise(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
            found = estimated(noisy, level, labels)
            image = found.image
            if plan.guidance_scale != 1:
                image = classifier_free_guidance(image, estimated(noisy, level, None).image, plan.guidance_scale)
            return DenoiserOutput(image.clamp(-1, 1), found.variance_interpolation)

        return denoise

    def check(self, plan: SamplingPlan) -> None:
        """Raise UsageError for a plan that cannot be followed."""
        if plan.sampler not in SAMPLERS:
            raise unknown("sampler", plan.sampler, SAMPLERS)
        if plan.steps < 1:
            raise UsageError(f"steps is {plan.steps}, expected at least 1")
        if plan.guidance_scale != 1 and not self.classes:
            raise UsageError(f"guidance_scale is {plan.guidance_scale}, and this model tells no classes apart: leave it at 1")
        if plan.guidance_scale < 0 or not 0 <= plan.eta <= 1:
            raise UsageError(
                f"guidance_scale is {plan.guidance_scale} and eta {plan.eta}, expected at least 0 and a share in [0, 1]"
            )
        if plan.eta and plan.sampler != "ddim":
            raise UsageError(f"eta is {plan.eta}, which sampler 'ddim' takes, and {plan.sampler!r} does not: leave it at 0")

    def _spread(self, level: NoiseLevels) -> float:
        """Return the standard deviation at a level of images that have unit variance: what sampling begins with."""
        return float((level.alpha**2 + level.sigma**2).sqrt())

    # --- from images to noise and back

    def invert(self, images: Tensor) -> Tensor:
        """Return latents [b d], about standard normal, by following the flow to the noisiest level."""
        levels = self._levels_between()
        noisy = sample_heun(self.estimate, float(levels.alpha[0]) * (2 * images - 1), levels, no_noise)
        return (noisy / self._spread(levels[-1])).flatten(1)

    def revert(self, latents: Tensor) -> Tensor:
        """Return the images [b c h w] in [0, 1] of latents [b d], by following the flow back."""
        levels = self._levels_between().reversed()
        noisy = self._spread(levels[0]) * latents.float().unflatten(1, self.data.shape)
        return _shown(sample_heun(self.estimate, noisy, levels, no_noise) / float(levels.alpha[-1]))

    def _levels_between(self) -> NoiseLevels:
        """Return the levels from the least noisy to the noisiest: at the former an image is taken to have no noise yet."""
        return spaced_levels(self.process.path, _INVERSION + 1, self.process.spacing or SAMPLERS["heun"].spacing).reversed()

    # --- likelihood

    def diffusion_bound(self, images: Tensor, draws: int) -> DiffusionBound:
        """Return the terms of the bound of a chain of 1000 levels, for no class in particular."""
        images = 2 * images - 1
        levels = chain_levels(self.process.path, CHAIN_LENGTH)
        found = [self._drawn_step(images, levels) for _ in range(draws)]
        steps, times = (torch.stack([pair[side] for pair in found], 1) for side in (0, 1))
        decoder = decoder_nats(self._at(images, levels[0]), images, levels[0])
        return DiffusionBound(prior_nats(images, levels[-1]), decoder, steps, times, CHAIN_LENGTH - 1)

    def _drawn_step(self, images: Tensor, levels: NoiseLevels) -> tuple[Tensor, Tensor]:
        """Return the cost of one step for each image, less the oftener it is drawn; and its time."""
        shares = step_probabilities(levels)
        places = torch.searchsorted(shares.cumsum(0), stratified_times(len(images))).clamp_max(len(shares) - 1)
        here, there = levels[places + 1], levels[places]
        noisy = add_noise(images, torch.randn_like(images), here)
        cost = step_nats(self.estimate(noisy, here), images, noisy, here, there)
        return cost / (len(shares) * shares[places]).to(images), here.time.to(images)

    def _at(self, images: Tensor, level: NoiseLevels) -> DenoiserOutput:
        return self.estimate(add_noise(images, torch.randn_like(images), level), level)

    def flow_log_likelihood(self, images: Tensor, probes: int) -> LogLikelihood:
        """Return log p of the levels of images, of what `revert` makes of noise: an estimate.

        The density at a uniform place within each level, times the levels' width: a lower bound on average (Theis et al. 2016,
        section 3.1), but for the solver's error and that of the divergence.
        """
        levels = self._levels_between()
        start = float(levels.alpha[0])
        dequantized = (255 * images + torch.rand_like(images)) / 256
        density = flow_log_density(self.estimate, start * (2 * dequantized - 1), levels, probes)
        width = math.log(2 * start / 256)  # of a level, on the scale of what the flow begins with
        return LogLikelihood((density + self.data.dimensions * width).float(), "estimate")


def _pass() -> None:
    """Do nothing."""


def _shown(images: Tensor) -> Tensor:
    """Return images in [0, 1] of images in [-1, 1]."""
    return (0.5 * (images + 1)).clamp(0, 1)

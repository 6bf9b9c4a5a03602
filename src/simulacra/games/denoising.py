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
    LatentSpace,
    LogLikelihood,
    Restores,
    SamplesIteratively,
    SamplingPlan,
)
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.errors import UsageError, unknown
from simulacra.core.family import Family, Loss, Turn, training_condition
from simulacra.core.randomness import Streams
from simulacra.diffusion.bounds import CHAIN, decoder_nats, prior_nats, step_nats, step_shares
from simulacra.diffusion.flow_density import log_density
from simulacra.diffusion.guidance import guided
from simulacra.diffusion.inpainting import inpainting
from simulacra.diffusion.loss_weights import of_output
from simulacra.diffusion.noise_levels import Level, Path, noised, over
from simulacra.diffusion.parameterizations import Parameterization, image_of, input_scale, output_of
from simulacra.diffusion.samplers import SAMPLERS, Denoiser, Draw, Estimate, heun, nothing
from simulacra.diffusion.schedules import Spacing, chain, grid, row, stratified
from simulacra.games.denoising_config import DenoisingConfig
from simulacra.networks.labels import drawn_labels, label_sizes, unknown_labels
from simulacra.networks.unet import UNet

_INVERSION = 30  # steps from image to noise and back


@dataclass(frozen=True)
class DenoisingProcess:
    """What tells one denoising family from another.

    path: its noise levels; kind: what the network's output means; weight: what a squared error of the image costs at a level;
    times: from a count and a device to times [n] in [0, 1] to train at; spacing: the grid of every sampler, None for its own;
    learned: whether the network also says which variance a step back has.
    """

    path: Path
    kind: Parameterization
    weight: Callable[[Level], Tensor]
    times: Callable[[int, torch.device], Tensor]
    spacing: Spacing | None = None
    learned: bool = False

    def levels(self, sampler: str, steps: int) -> Level:
        """Return the levels at which a sampler stands, the image itself last."""
        return grid(self.path, steps, self.spacing or SAMPLERS[sampler].spacing)


class DenoisingGame(Family, SamplesIteratively, Restores, LatentSpace, HasDiffusionBound):
    """One player: a U-Net that is shown noisy images and their noise level. Inside, images are in [-1, 1]."""

    samplers: ClassVar[tuple[str, ...]] = tuple(SAMPLERS)
    prior = "standard normal"
    amortized = False
    conditional_likelihood = False  # latents and likelihoods are those of the unconditional model

    def __init__(self, config: DenoisingConfig, data: DataSpec, process: DenoisingProcess) -> None:
        super().__init__()
        self.config, self.data, self.process = config, data, process
        self.label_sizes = label_sizes(data, config.conditional)
        self.network = UNet(data, data.channels * (1 + process.learned), config.shape, self.label_sizes)

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
        noisy = noised(images, torch.randn_like(images), level)
        condition = training_condition(self.accepts, batch).map(self._without_some)
        output, share = self._outputs(noisy, level, condition)
        target = output_of(images, noisy, level, self.process.kind)
        errors = ((output - target) ** 2).flatten(1).mean(1)
        weight = of_output(self.process.weight(level), self.process.kind(level)).float()
        total, parts = (weight * errors).mean(), {"output_mse": errors.mean()}
        if share is not None:
            fixed = Estimate(self._image(output.detach(), noisy, level), share)  # the bound moves the variance alone
            parts["step_bits_per_dim"] = self._step_bits(fixed, images, noisy, level)
            total = total + parts["step_bits_per_dim"]
        return {"denoiser": Loss(total, parts)}

    def _step_bits(self, estimate: Estimate, images: Tensor, noisy: Tensor, level: Level) -> Tensor:
        """Return what steps of a chain of 1000 cost, in bits per dimension, a mean over images: 0.001 times the whole bound.

        The first step back, which ends with the image itself, has a variance of its own and is left out.
        """
        width = 1 / (CHAIN - 1)
        here = self.process.path(level.time.clamp_min(width))
        nats = step_nats(estimate, images, noisy, here, self.process.path(here.time - width))
        return nats.mean() / (self.data.dimensions * math.log(2))

    def _without_some(self, labels: Tensor) -> Tensor:
        """Return labels, of which a share is replaced by no class (Ho & Salimans 2022, algorithm 1)."""
        dropped = torch.rand(len(labels), device=labels.device) < self.config.label_dropout
        unknown = unknown_labels(len(labels), self.label_sizes, labels.device)
        return torch.where(dropped if labels.ndim == 1 else dropped[:, None], unknown, labels)

    # --- what the network says

    def estimate(self, noisy: Tensor, level: Level, condition: Condition = UNCONDITIONAL) -> Estimate:
        """Return the estimated images, in [-1, 1] or about, of noisy ones at one level or one for each."""
        output, share = self._outputs(noisy, level, condition)
        return Estimate(self._image(output, noisy, level), share)

    def _image(self, output: Tensor, noisy: Tensor, level: Level) -> Tensor:
        return image_of(output, noisy, level, self.process.kind)

    def _outputs(self, noisy: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor | None]:
        """Return the network's output and the share of the variance, 0.5 where it says 0, if that is learned: [b c h w]."""
        both = self.network(over(input_scale(level), noisy) * noisy, level.time, condition.labels).float()
        if not self.process.learned:
            return both, None
        output, share = both.chunk(2, dim=1)
        return output, 0.5 * (share + 1)

    # --- from noise to images

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """As many numbers as an image has, and one that draws the class where there are classes."""
        return (self.data.dimensions + len(self.label_sizes),)

    @property
    def plan(self) -> SamplingPlan:
        """The plan of the settings."""
        config = self.config
        return SamplingPlan(config.sampler, config.sampling_steps, config.guidance_scale, config.eta)

    def evaluations(self, plan: SamplingPlan) -> int:
        """Return the network's evaluations of an image."""
        each = SAMPLERS[plan.sampler].evaluations
        return (plan.steps * each - (each - 1)) * (1 if plan.guidance_scale == 1 else 2)

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1], by the plan of the settings."""
        return self.sample_with_plan(noise, condition, self.plan, _pass)

    def sample_with_plan(self, noise: Tensor, condition: Condition, plan: SamplingPlan, advance: Callable[[], None]) -> Tensor:
        """Return images [b c h w] in [0, 1], by a plan."""
        self.check(plan)
        return _shown(self._walked(noise, self._denoiser(self._drawn(noise, condition), plan, advance), plan))

    def _drawn(self, noise: Tensor, condition: Condition) -> Condition:
        """Return a condition with labels: those that are given, or else drawn from the noise."""
        require_accepted(self, condition, len(noise))
        return replace(condition, labels=drawn_labels(noise, condition.labels, self.label_sizes)[1])

    def _pixels(self, noise: Tensor) -> Tensor:
        """Return the noise [b c h w] of the pixels."""
        return noise[:, : self.data.dimensions].unflatten(1, self.data.shape)

    def _walked(self, noise: Tensor, denoise: Denoiser, plan: SamplingPlan) -> Tensor:
        """Return images in [-1, 1] that a denoiser makes of noise [b *noise_shape]."""
        levels = self.process.levels(plan.sampler, plan.steps)
        start = self._spread(levels[0]) * self._pixels(noise).float()
        draw: Draw = nothing
        if SAMPLERS[plan.sampler].random or plan.eta:
            draw = partial(Streams(noise).draw, *self.data.shape)
        return SAMPLERS[plan.sampler].walk(denoise, start, levels, draw, eta=plan.eta)

    def restore(self, images: Tensor, known: Tensor, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1], given where known and made of noise elsewhere, by the plan of the settings."""
        require_accepted(self, condition, len(images))
        denoise = self._denoiser(condition, replace(self.plan, guidance_scale=1.0), _pass)
        return _shown(self._walked(noise, inpainting(denoise, 2 * images - 1, known.float()), self.plan))

    def forward_process(self, images: Tensor, noise: Tensor, count: int, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images at evenly spaced times of the way to noise: [moments b c h w] in [0, 1]."""
        require_accepted(self, condition, len(images))
        levels = self.process.path(torch.linspace(0, 1, count)[1:])
        drawn = self._pixels(noise)
        return torch.stack([images, *(_shown(noised(2 * images - 1, drawn, level)) for level in levels)])

    def reverse_process(self, noise: Tensor, count: int, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return what the sampler is given at some of its steps, and what it makes: [moments b c h w] in [0, 1]."""
        denoise, seen = self._denoiser(self._drawn(noise, condition), self.plan, _pass), list[Tensor]()

        def seeing(noisy: Tensor, level: Level) -> Estimate:
            seen.append(_shown(noisy))
            return denoise(noisy, level)

        made = _shown(self._walked(noise, seeing, self.plan))
        chosen = torch.linspace(0, len(seen), count).round().int().tolist()
        return torch.stack([(*seen, made)[place] for place in chosen])

    def _denoiser(self, condition: Condition, plan: SamplingPlan, advance: Callable[[], None]) -> Denoiser:
        """Return the denoiser that samplers see: guided, its images held in [-1, 1] (as Ho et al. 2020 do)."""
        reduced = plan.precision != torch.float32

        def estimated(noisy: Tensor, level: Level, given: Condition) -> Estimate:
            with torch.autocast(noisy.device.type, plan.precision, enabled=reduced):
                found = self.estimate(noisy, level, given)
            advance()
            return found

        def denoise(noisy: Tensor, level: Level) -> Estimate:
            found = estimated(noisy, level, condition)
            image = found.image
            if plan.guidance_scale != 1:
                image = guided(image, estimated(noisy, level, replace(condition, labels=None)).image, plan.guidance_scale)
            return Estimate(image.clamp(-1, 1), found.share)

        return denoise

    def check(self, plan: SamplingPlan) -> None:
        """Raise UsageError for a plan that cannot be followed."""
        if plan.sampler not in SAMPLERS:
            raise unknown("sampler", plan.sampler, SAMPLERS)
        if plan.steps < 1:
            raise UsageError(f"steps is {plan.steps}, expected at least 1")
        if plan.guidance_scale != 1 and not self.label_sizes:
            raise UsageError(f"guidance_scale is {plan.guidance_scale}, and this model is not conditional: leave it at 1")
        if plan.guidance_scale < 0 or not 0 <= plan.eta <= 1:
            raise UsageError(
                f"guidance_scale is {plan.guidance_scale} and eta {plan.eta}, expected at least 0 and a share in [0, 1]"
            )
        if plan.eta and plan.sampler != "ddim":
            raise UsageError(f"eta is {plan.eta}, which sampler 'ddim' takes, and {plan.sampler!r} does not: leave it at 0")

    def _spread(self, level: Level) -> float:
        """Return the standard deviation at a level of images that have unit variance: what sampling begins with."""
        return float((level.alpha**2 + level.sigma**2).sqrt())

    # --- from images to noise and back

    @property
    def latent_dim(self) -> int:
        """Values in one image."""
        return self.data.dimensions

    def encode(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return latents [b d], approximately standard normal, by solving the probability flow ODE up to the noisiest level."""
        require_accepted(self, condition, len(images))
        levels = self._levels_between()
        noisy = heun(self._given(condition), float(levels.alpha[0]) * (2 * images - 1), levels, nothing)
        return (noisy / self._spread(levels[-1])).flatten(1)

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the images [b c h w] in [0, 1] of latents [b d], by solving the ODE back."""
        require_accepted(self, condition, len(latents))
        levels = self._levels_between().reversed()
        noisy = self._spread(levels[0]) * latents.float().unflatten(1, self.data.shape)
        return _shown(heun(self._given(condition), noisy, levels, nothing) / float(levels.alpha[-1]))

    def _given(self, condition: Condition) -> Denoiser:
        return partial(self.estimate, condition=condition)

    def _levels_between(self) -> Level:
        """Return the levels from the least noisy to the noisiest: at the former an image is taken to have no noise yet."""
        return row(self.process.path, _INVERSION + 1, self.process.spacing or SAMPLERS["heun"].spacing).reversed()

    # --- likelihood

    def diffusion_bound(self, images: Tensor, draws: int, condition: Condition = UNCONDITIONAL) -> DiffusionBound:
        """Return the terms of the bound of a chain of 1000 levels."""
        require_accepted(self, condition, len(images))
        denoise = self._given(condition)
        images = 2 * images - 1
        levels = chain(self.process.path, CHAIN)
        found = [_drawn_step(denoise, images, levels) for _ in range(draws)]
        steps, times = (torch.stack([pair[side] for pair in found], 1) for side in (0, 1))
        nearest = denoise(noised(images, torch.randn_like(images), levels[0]), levels[0])
        decoder = decoder_nats(nearest, images, levels[0])
        return DiffusionBound(prior_nats(images, levels[-1]), decoder, steps, times, CHAIN - 1)

    def flow_log_likelihood(self, images: Tensor, probes: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Return log p of the levels of images, under the distribution that `decode` maps noise to: an estimate.

        The density at a uniform place within each level, times the levels' width: a lower bound on average (Theis et al. 2016,
        section 3.1), but for the solver's error and that of the divergence.
        """
        require_accepted(self, condition, len(images))
        levels = self._levels_between()
        start = float(levels.alpha[0])
        dequantized = (255 * images + torch.rand_like(images)) / 256
        density = log_density(self._given(condition), start * (2 * dequantized - 1), levels, probes)
        width = math.log(2 * start / 256)  # of a level, on the scale of what the flow begins with
        return LogLikelihood((density + self.data.dimensions * width).float(), "estimate")


def _drawn_step(denoise: Denoiser, images: Tensor, levels: Level) -> tuple[Tensor, Tensor]:
    """Return the cost of one random step for each image, divided by its relative frequency, and the time of the step."""
    shares = step_shares(levels)
    places = torch.searchsorted(shares.cumsum(0), stratified(len(images))).clamp_max(len(shares) - 1)
    here, there = levels[places + 1], levels[places]
    noisy = noised(images, torch.randn_like(images), here)
    cost = step_nats(denoise(noisy, here), images, noisy, here, there)
    return cost / (len(shares) * shares[places]).to(images), here.time.to(images)


def _pass() -> None:
    """Do nothing."""


def _shown(images: Tensor) -> Tensor:
    """Return images in [0, 1] of images in [-1, 1]."""
    return (0.5 * (images + 1)).clamp(0, 1)

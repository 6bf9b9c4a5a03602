"""Flow matching: a network learns the velocity of straight paths from noise to images (Lipman et al. 2022).

With average velocities it also learns the velocity averaged over a step, which samples in one or a few steps (Geng et al. 2025).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import SamplingPlan
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import option
from simulacra.core.errors import UsageError
from simulacra.core.family import Loss, training_condition
from simulacra.diffusion.average_velocity import (
    average_velocity_target,
    drawn_ends,
    error_weights,
    intermediate_times,
    moved,
    share_of_step,
)
from simulacra.diffusion.loss_weights import flow_matching
from simulacra.diffusion.noise_levels import NoiseLevels, add_noise, broadcast_like, straight_path
from simulacra.diffusion.parameterizations import velocity
from simulacra.diffusion.samplers import SAMPLERS, classifier_free_guidance
from simulacra.diffusion.schedules import stratified_times
from simulacra.games.denoising import DenoisingConfig, DenoisingGame, DenoisingProcess
from simulacra.networks.kernels.memory_layout import flatten

_FIRST = 1e-3  # the earliest time: at 0 there is no noise, and the velocity does not determine the image


@dataclass(frozen=True)
class FlowConfig(DenoisingConfig):
    """Settings of a flow."""

    sampler: Literal["dpmpp-2m", "ddim", "heun", "euler", "ancestral"] = option("heun", "default sampler")
    times: Literal["uniform", "logit-normal"] = option("uniform", "distribution of the training times")
    average_steps: int = option(
        0,
        "learn average velocities too (MeanFlow), best with --from a trained flow, and sample in this number of steps by "
        "default; they include guidance_scale. 0: do not",
        low=0,
    )


class Flow(DenoisingGame):
    """Images and noise are connected by straight lines; the network estimates the mean velocity at a point."""

    Config = FlowConfig
    samplers = tuple(SAMPLERS)
    summary = "a network learns the velocity of straight paths from noise to images"
    paper = "Lipman et al. 2022; Esser et al. 2024; Geng et al. 2025"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "small": {},
        "medium": {"features": (64, 128, 128), "blocks": 2, "attention": (14, 16), "dropout": 0.1},
    }
    defaults: ClassVar[Mapping[str, object]] = {"ema": 0.9995, "clip": 1.0}

    def __init__(self, config: FlowConfig, data: DataSpec) -> None:
        times = {"uniform": stratified_times, "logit-normal": _logit_normal}[config.times]
        process = DenoisingProcess(_path, velocity, flow_matching, times, spacing="time")
        super().__init__(config, data, process, spans=config.average_steps > 0)
        self._average_steps, self._share = config.average_steps, 1.0

    def begin_step(self, done: float) -> None:
        """Set the share of a step for which the velocity is used, which decreases during the training."""
        self._share = share_of_step(done)

    @property
    def plan(self) -> SamplingPlan:
        """The plan of the settings; with average velocities their steps, which include the guidance."""
        return SamplingPlan("average", self._average_steps) if self._average_steps else super().plan

    def check(self, plan: SamplingPlan) -> None:
        """Raise UsageError for a plan that cannot be followed."""
        super().check(plan)
        if plan.sampler == "average" and not self._average_steps:
            raise UsageError("sampler is 'average', and this flow has no average velocities: train it with --average-steps 1")
        if self._average_steps and plan.guidance_scale != 1:
            learned = f"the scale {self.config.guidance_scale} is included in the velocities that it has learned"
            raise UsageError(f"guidance_scale is {plan.guidance_scale}, which this flow cannot change, since {learned}")

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        """Weighted squared error of the velocities; with average velocities, of the velocity of each image's step."""
        return self._average_losses(batch) if self._average_steps else super()._losses(batch)

    def _average_losses(self, batch: Batch) -> dict[str, Loss]:
        images = 2 * batch.images - 1
        noise = torch.randn_like(images)
        condition = training_condition(self.accepts, batch).map(self._without_some)
        times = _path(self.process.times(len(images), images.device)).time
        ends = drawn_ends(times)
        noisy = add_noise(images, noise, straight_path(times))
        with torch.no_grad():
            straight = self._guided(noise - images, noisy, times, condition)
            target = torch.where(
                broadcast_like(times > ends, noisy) > 0, self._target(straight, noisy, times, ends, condition), straight
            )
        errors = flatten((self._velocity(noisy, times, ends, condition) - target) ** 2).mean(1)
        steps, instants = errors[1::2].mean(), errors[::2].mean()
        return {"denoiser": Loss((error_weights(errors) * errors).mean(), {"output_mse": instants, "average_mse": steps})}

    def _target(self, straight: Tensor, noisy: Tensor, times: Tensor, ends: Tensor, condition: Condition) -> Tensor:
        """Return the target of average velocities from `times` to `ends`, given velocities at `times`."""
        if self._share == 1:
            return straight
        between = intermediate_times(times, ends, self._share)
        rest = self._velocity(moved(noisy, straight, times, between), between, ends, condition)
        return average_velocity_target(straight, rest, self._share)

    def _guided(self, straight: Tensor, noisy: Tensor, times: Tensor, condition: Condition) -> Tensor:
        """Return velocities with guidance by the network's unconditional velocity (Geng et al. 2025, eq. 13)."""
        if (scale := self.config.guidance_scale) == 1:
            return straight
        unconditional = self._velocity(noisy, times, times, UNCONDITIONAL)
        return classifier_free_guidance(straight, unconditional, scale)

    def _velocity(self, noisy: Tensor, times: Tensor, ends: Tensor, condition: Condition) -> Tensor:
        """Return the average velocities [b c h w] of noisy images from `times` to `ends`, float64 [b]."""
        return self._outputs(noisy, replace(straight_path(times), end=ends), condition)[0]


def _path(time: Tensor) -> NoiseLevels:
    """Return the levels of the straight path, from time 0.001 on."""
    return straight_path(_FIRST + (1 - _FIRST) * time.double())


def _logit_normal(count: int, device: torch.device) -> Tensor:
    """Return times whose logit is standard normal (Esser et al. 2024, section 3.1, m = 0, s = 1), stratified."""
    return torch.sigmoid(torch.special.ndtri(stratified_times(count, device)))

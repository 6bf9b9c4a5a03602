"""Flows that also learn average velocities, for samples in one or a few steps (Geng et al. 2025; Zhang et al. 2025)."""

from dataclasses import dataclass, replace

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
from simulacra.diffusion.noise_levels import add_noise, broadcast_like, straight_path
from simulacra.diffusion.samplers import SAMPLERS, classifier_free_guidance
from simulacra.games.denoising import DenoisingConfig, DenoisingGame, DenoisingProcess
from simulacra.networks.kernels.memory_layout import flatten


@dataclass(frozen=True)
class AverageVelocityConfig(DenoisingConfig):
    """Settings of a denoising family on the straight path, with or without average velocities."""

    average_steps: int = option(
        0,
        "learn average velocities too (MeanFlow), best with --from a trained flow, and sample in this number of steps by "
        "default; they include guidance_scale. 0: do not",
        low=0,
    )


class AverageVelocityGame(DenoisingGame):
    """A denoiser on the straight path whose network predicts velocities, and average ones if `average_steps` is not 0."""

    config: AverageVelocityConfig

    def __init__(self, config: AverageVelocityConfig, data: DataSpec, process: DenoisingProcess) -> None:
        super().__init__(config, data, process, spans=config.average_steps > 0)
        self._average_steps, self._share = config.average_steps, 1.0
        if config.average_steps:
            self.samplers = tuple(SAMPLERS)

    def begin_step(self, done: float) -> None:
        """Set the share of a step for which the velocity is used, which decreases during the training."""
        self._share = share_of_step(done)

    @property
    def plan(self) -> SamplingPlan:
        """The plan of the settings; with average velocities their steps, which include the guidance."""
        return SamplingPlan("average", self._average_steps) if self._average_steps else super().plan

    def check(self, plan: SamplingPlan) -> None:
        """Raise UsageError for a plan that cannot be followed."""
        if plan.sampler == "average" and not self._average_steps:
            raise UsageError("sampler is 'average', and this flow has no average velocities: train it with --average-steps 1")
        super().check(plan)
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
        times = self.process.path(self.process.times(len(images), images.device)).time
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

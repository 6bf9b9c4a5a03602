"""Flows that also learn average velocities, for samples in one or a few steps (Geng et al. 2025; Frans et al. 2025)."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import SamplingPlan
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import option
from simulacra.core.errors import UsageError
from simulacra.core.family import Loss, training_condition
from simulacra.diffusion.average_velocity import drawn_steps, halved_step
from simulacra.diffusion.noise_levels import add_noise, straight_path
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
        self._average_steps = config.average_steps
        if config.average_steps:
            self.samplers = tuple(SAMPLERS)

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
        """Losses of the velocity for the first half of the images, and of average velocities for the rest."""
        count = len(batch.images)
        if count == 1:
            raise UsageError("average velocities need at least two images in each batch and its pieces: use a larger --batch")
        images = 2 * batch.images - 1
        condition = training_condition(self.accepts, batch).map(self._without_some)
        noise, first, rest = torch.randn_like(images), slice(0, (count + 1) // 2), slice((count + 1) // 2, count)
        ends = self.process.path(self.process.times(count, images.device)).time
        times = ends.clone()
        times[rest], ends[rest] = drawn_steps(count // 2, images.device)
        noisy = add_noise(images, noise, straight_path(times))
        with torch.no_grad():
            velocities = self._guided((noise - images)[first], noisy[first], times[first])
            of_condition = partial(self._velocity, condition=condition[rest])
            averages = halved_step(of_condition, noisy[rest], times[rest], ends[rest])
        errors = flatten((self._velocity(noisy, times, ends, condition) - torch.cat([velocities, averages])) ** 2).mean(1)
        return {"denoiser": Loss(errors.mean(), {"output_mse": errors[first].mean(), "average_mse": errors[rest].mean()})}

    def _guided(self, straight: Tensor, noisy: Tensor, times: Tensor) -> Tensor:
        """Return velocities with guidance by the network's unconditional velocity (Geng et al. 2025, eq. 13)."""
        if (scale := self.config.guidance_scale) == 1:
            return straight
        unconditional = self._velocity(noisy, times, times, UNCONDITIONAL)
        return classifier_free_guidance(straight, unconditional, scale)

    def _velocity(self, noisy: Tensor, times: Tensor, ends: Tensor, condition: Condition) -> Tensor:
        """Return the average velocities [b c h w] of noisy images from `times` to `ends`, float64 [b]."""
        return self._outputs(noisy, replace(straight_path(times), end=ends), condition)[0]

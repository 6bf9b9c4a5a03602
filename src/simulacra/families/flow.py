"""Flow matching: a network learns the velocity of straight paths from noise to images (Lipman et al. 2022).

With average velocities it also learns the velocity averaged over a step, which samples in one or a few steps (Geng et al. 2025).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.diffusion.loss_weights import flow_matching
from simulacra.diffusion.noise_levels import NoiseLevels, straight_path
from simulacra.diffusion.parameterizations import velocity
from simulacra.diffusion.schedules import stratified_times
from simulacra.games.average_velocity import AverageVelocityConfig, AverageVelocityGame
from simulacra.games.denoising import DenoisingProcess

_FIRST = 1e-3  # the earliest time: at 0 there is no noise, and the velocity does not determine the image


@dataclass(frozen=True)
class FlowConfig(AverageVelocityConfig):
    """Settings of a flow."""

    sampler: Literal["dpmpp-2m", "ddim", "heun", "euler", "ancestral"] = option("heun", "default sampler")
    times: Literal["uniform", "logit-normal"] = option("uniform", "distribution of the training times")


class Flow(AverageVelocityGame):
    """Images and noise are connected by straight lines; the network estimates the mean velocity at a point."""

    Config = FlowConfig
    summary = "a network learns the velocity of straight paths from noise to images"
    paper = "Lipman et al. 2022; Esser et al. 2024; Geng et al. 2025"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "small": {},
        "medium": {"features": (64, 128, 128), "blocks": 2, "attention": (14, 16), "dropout": 0.1},
    }
    defaults: ClassVar[Mapping[str, object]] = {"ema": 0.9995, "clip": 1.0}

    def __init__(self, config: FlowConfig, data: DataSpec) -> None:
        times = {"uniform": stratified_times, "logit-normal": _logit_normal}[config.times]
        super().__init__(config, data, DenoisingProcess(_path, velocity, flow_matching, times, spacing="time"))


def _path(time: Tensor) -> NoiseLevels:
    """Return the levels of the straight path, from time 0.001 on."""
    return straight_path(_FIRST + (1 - _FIRST) * time.double())


def _logit_normal(count: int, device: torch.device) -> Tensor:
    """Return times whose logit is standard normal (Esser et al. 2024, section 3.1, m = 0, s = 1), stratified."""
    return torch.sigmoid(torch.special.ndtri(stratified_times(count, device)))

"""Flow matching: a network that knows the way from noise to images, along straight paths (Lipman et al. 2022)."""

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
from simulacra.games.denoising import DenoisingGame, DenoisingProcess
from simulacra.games.denoising_config import DenoisingConfig

_FIRST = 1e-3  # the earliest time: at 0 itself there is no noise, and the velocity cannot be told from the image


@dataclass(frozen=True)
class FlowConfig(DenoisingConfig):
    """Settings of a flow."""

    sampler: Literal["dpmpp-2m", "ddim", "heun", "euler", "ancestral"] = option(
        "heun", "how noise becomes images, unless 'simulacra sample' is told otherwise"
    )
    times: Literal["uniform", "logit-normal"] = option("uniform", "where to train: on all of the path, or mostly in its middle")


class Flow(DenoisingGame):
    """Image and noise are joined by a line; the network estimates the mean direction of all lines through a point."""

    Config = FlowConfig
    summary = "a network learns the velocity that carries noise to images along straight paths"
    paper = "Lipman et al. 2022; Esser et al. 2024"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "small": {},
        "medium": {"features": (64, 128, 128), "blocks": 2, "attention": (14, 16), "dropout": 0.1},
    }
    defaults: ClassVar[Mapping[str, object]] = {"ema": 0.9995, "clip": 1.0}

    def __init__(self, config: FlowConfig, data: DataSpec) -> None:
        times = {"uniform": stratified_times, "logit-normal": _in_the_middle}[config.times]
        super().__init__(config, data, DenoisingProcess(_path, velocity, flow_matching, times, spacing="time"))


def _path(time: Tensor) -> NoiseLevels:
    """Return the levels of the straight path, begun a thousandth away from the image."""
    return straight_path(_FIRST + (1 - _FIRST) * time.double())


def _in_the_middle(count: int, device: torch.device) -> Tensor:
    """Return times whose logit is standard normal (Esser et al. 2024, section 3.1, m = 0, s = 1), evenly spread among those."""
    return torch.sigmoid(torch.special.ndtri(stratified_times(count, device)))

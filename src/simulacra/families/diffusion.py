"""Diffusion models: a network that undoes a thousand small steps of noise, in as few as one asks it to (Ho et al. 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.core.errors import UsageError
from simulacra.diffusion.loss_weights import LOSS_WEIGHTS
from simulacra.diffusion.noise_levels import variance_preserving
from simulacra.diffusion.parameterizations import PARAMETERIZATIONS
from simulacra.diffusion.schedules import SCHEDULES, stratified_times
from simulacra.games.denoising import DenoisingGame, DenoisingProcess
from simulacra.games.denoising_config import DenoisingConfig

_CIFAR: dict[str, object] = {
    "features": (128, 256, 256, 256),
    "blocks": 2,
    "attention": (16,),
    "dropout": 0.1,
    "resampling": "conv",
    "skips": "all",
    "group": 4,
}


@dataclass(frozen=True)
class DiffusionConfig(DenoisingConfig):
    """Settings of a diffusion model."""

    noise_schedule: Literal["linear", "cosine", "sigmoid", "karras"] = option("cosine", "how fast images drown in noise")
    prediction: Literal["noise", "image", "v", "edm"] = option("v", "what the network's output means")
    weighting: Literal["simple", "min-snr", "edm"] = option("simple", "how much an error counts at each noise level")
    learned_variance: bool = option(False, "learn the variance of a step back, for ancestral sampling and the bound")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        super().validate()
        if self.learned_variance and self.noise_schedule == "karras":
            raise UsageError("learned_variance is for chains, and noise_schedule 'karras' is for solvers: use cosine or linear")


class Diffusion(DenoisingGame):
    """Images are drowned in noise, variance kept; the network estimates what is under it."""

    Config = DiffusionConfig
    summary = "a network learns to remove noise, and makes images of nothing but noise in some steps"
    paper = "Ho et al. 2020; Song et al. 2020; Karras et al. 2022"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "small": {},
        "medium": {"features": (64, 128, 128), "blocks": 2, "attention": (14, 16), "dropout": 0.1},
        "ddpm": {**_CIFAR, "noise_schedule": "linear", "prediction": "noise"},
    }
    defaults: ClassVar[Mapping[str, object]] = {"ema": 0.9995, "clip": 1.0}

    def __init__(self, config: DiffusionConfig, data: DataSpec) -> None:
        process = DenoisingProcess(
            variance_preserving(SCHEDULES[config.noise_schedule]),
            PARAMETERIZATIONS[config.prediction],
            LOSS_WEIGHTS[config.weighting],
            stratified_times,
            learned=config.learned_variance,
        )
        super().__init__(config, data, process)

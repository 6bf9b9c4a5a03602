"""Diffusion models: a denoiser trained on a variance-preserving noise process (Ho et al. 2020)."""

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
from simulacra.games.denoising import DenoisingConfig, DenoisingGame, DenoisingProcess

_CIFAR = {"features": (128, 256, 256, 256), "blocks": 2, "attention": (16,), "dropout": 0.1}
_HO_ET_AL = {"resampling": "conv", "skips": "all", "group": 4, "noise_schedule": "linear", "prediction": "noise"}


@dataclass(frozen=True)
class DiffusionConfig(DenoisingConfig):
    """Settings of a diffusion model."""

    noise_schedule: Literal["linear", "cosine", "sigmoid", "karras"] = option("cosine", "noise schedule")
    prediction: Literal["noise", "image", "v", "edm"] = option("v", "parameterization of the network's output")
    weighting: Literal["simple", "min-snr", "edm"] = option("simple", "weight of the loss at each noise level")
    learned_variance: bool = option(False, "learn the variance of reverse steps, for ancestral sampling and the bound")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        super().validate()
        if self.learned_variance and self.noise_schedule == "karras":
            raise UsageError("learned_variance needs a noise schedule of a Markov chain, not 'karras': use cosine or linear")


class Diffusion(DenoisingGame):
    """A denoiser of images with noise at constant variance, in one of several parameterizations."""

    Config = DiffusionConfig
    summary = "a denoiser that generates images from noise in several steps"
    paper = "Ho et al. 2020; Song et al. 2020; Karras et al. 2022"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "small": {},
        "medium": {"features": (64, 128, 128), "blocks": 2, "attention": (14, 16), "dropout": 0.1},
        "ddpm": {**_CIFAR, **_HO_ET_AL},
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

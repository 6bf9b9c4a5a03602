"""Settings that several metrics share. Those of a single metric are declared in the metric's own file."""

from dataclasses import dataclass
from typing import Literal

from simulacra.core.config import Config, option


@dataclass(frozen=True)
class SharedSettings(Config):
    """Images, feature extractor and sampling plan of an evaluation."""

    split: Literal["test", "validation"] = option("test", "images to measure on; use the validation images to choose settings")
    metrics: str = option("", "names of the metrics to measure, separated by commas; empty: all that apply")
    samples: int = option(
        -1,
        "number of images to generate; -1: as many as there are images to compare with, from 1,000 to 10,000; "
        "0 disables the metrics of generated images",
        low=-1,
    )
    extractor: str = option(
        "auto",
        "feature extractor: lenet, lenet_colour, resnet18, lenet:mnist (trained on other data), inception:PATH, auto, "
        "none (disables the metrics in feature space)",
    )
    extractor_seed: int = option(0, "seed of the training of the feature extractor", low=0)
    sampler: str = option("", "diffusion and flow models: the sampler; empty: that of the model's settings")
    steps: int = option(0, "diffusion and flow models: number of sampling steps; 0: that of the model's settings", low=0)
    guidance_scale: float = option(
        -1.0,
        "conditional diffusion and flow models: classifier-free guidance scale; 1 disables guidance; -1: that of the model's "
        "settings",
        low=-1,
    )
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "diffusion and flow models: arithmetic of the network while sampling; auto: that of the training"
    )
    seed: int = option(0, "seed of the evaluation's random numbers", low=0)

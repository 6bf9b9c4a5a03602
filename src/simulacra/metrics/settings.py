"""Settings of an evaluation."""

from dataclasses import dataclass
from typing import Literal

from simulacra.core.config import Config, option


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """What is measured, from how many images, and what is drawn for it."""

    split: Literal["test", "validation"] = option("test", "images to measure on; choose settings on validation images")
    samples: int = option(10_000, "images to generate for fidelity and diversity; 0 leaves these out", low=0)
    particles: int = option(50, "importance samples per image for the likelihood", low=1)
    extractor: str = option(
        "auto", "features for fidelity: lenet, resnet18, lenet:mnist (trained on other data), inception:PATH; auto; none"
    )
    extractor_seed: int = option(0, "seed of the extractor's training", low=0)
    cas: bool = option(False, "conditional models: train a classifier on generated images only, which takes minutes")
    sampler: str = option("", "models that refine noise: the sampler, in place of their own")
    steps: int = option(0, "models that refine noise: in how many steps; 0 takes their own number", low=0)
    guidance_scale: float = option(-1.0, "conditional ones of these: how decidedly; -1 takes their own", low=-1)
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "models that refine noise: arithmetic of the network; auto takes that of the training"
    )
    flow_images: int = option(0, "models that refine noise: real images to score by their flow, slowly; 0 leaves it out", low=0)
    seed: int = option(0, "seed of what the evaluation draws", low=0)

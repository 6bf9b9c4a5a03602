"""Settings of an evaluation."""

from dataclasses import dataclass

from simulacra.core.config import Config, option


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """What is measured, from how many images, and what is drawn for it."""

    samples: int = option(10_000, "images to generate for fidelity and diversity; 0 leaves these out", low=0)
    particles: int = option(50, "importance samples per image for the likelihood", low=1)
    extractor: str = option(
        "auto", "features for fidelity: lenet, resnet18, lenet:mnist (trained on other data), inception:PATH; auto; none"
    )
    extractor_seed: int = option(0, "seed of the extractor's training", low=0)
    cas: bool = option(False, "conditional models: train a classifier on generated images only, which takes minutes")
    seed: int = option(0, "seed of what the evaluation draws", low=0)

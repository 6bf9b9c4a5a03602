"""DCGAN: a GAN of strided convolutions with batch norm (Radford et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.core.errors import UsageError
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.adversarial import AdversarialConfig, AdversarialGame, augmentation_for
from simulacra.networks.dcgan import Norm, discriminator_body, generator_layers, initialize_weights
from simulacra.networks.labels import label_sizes


@dataclass(frozen=True)
class DCGANConfig(AdversarialConfig):
    """Settings of a DCGAN."""

    noise: int = option(100, "dimensions of the generator's noise", low=1)
    features: tuple[int, ...] = option((64, 128), "feature maps after each downsampling by 2 (reversed in the generator)", low=1)
    batch_norm: bool = option(True, "batch norm in the discriminator; the generator always has it")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        super().validate()
        if self.batch_norm and (self.r1 or self.spectral_norm):
            name = "r1" if self.r1 else "spectral_norm"
            why = "makes the logit of an image depend on its batch" if self.r1 else "removes the Lipschitz bound"
            raise UsageError(f"{name} needs a discriminator without batch norm, which {why}: add --no-batch-norm")


class DCGAN(AdversarialGame):
    """A generator of transposed convolutions and a discriminator of strided convolutions, both with batch norm."""

    Config = DCGANConfig
    summary = "strided and transposed convolutions with batch norm"
    paper = "Radford et al. 2015"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "28": {},
        "32": {"features": (64, 128, 256)},
        "64": {"features": (32, 64, 128, 256)},
    }
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-4, "beta1": 0.5, "schedule": "constant"}

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return the preset of the images' size, on CPUs with half of its feature maps, and augmentations of small data sets.

        On a CPU time is short: half of the feature maps allow two to three times as many steps.
        """
        fewer = {"64": (16, 32, 64, 128), "32": (32, 64, 128)}
        features = {"features": fewer[facts.preset]} if facts.preset and not facts.gpu else {}
        return {**facts.of_size, **features, **augmentation_for(facts)}

    def __init__(self, config: DCGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.noise, self.label_sizes = config, config.noise, label_sizes(data, config.conditional)
        layers = generator_layers(data, config.noise + sum(self.label_sizes), config.features)
        norm: Norm = "batch" if config.batch_norm else "none"
        body, features = discriminator_body(data, data.channels * config.pack, config.features, norm)
        head = nn.Linear(features, 1)
        initialize_weights(nn.Sequential(head))
        self.set_networks(layers, body, head)

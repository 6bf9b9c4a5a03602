"""DCGAN: adversarial networks of strided convolutions and batch norm, which train stably (Radford et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.core.errors import UsageError
from simulacra.games.adversarial import AdversarialConfig, AdversarialGame
from simulacra.networks.adversarial import Discriminator, Generator, spectrally_normalized
from simulacra.networks.dcgan import Norm, discriminator_body, generator_layers, initialized
from simulacra.networks.labels import label_sizes


@dataclass(frozen=True)
class DCGANConfig(AdversarialConfig):
    """Settings of a DCGAN."""

    noise: int = option(100, "dimensions of the noise", low=1)
    features: tuple[int, ...] = option(
        (64, 128), "feature maps after each halving of the image (reversed in the generator)", low=1
    )
    batch_norm: bool = option(True, "batch norm in the discriminator, as in the paper; the generator always has it")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        super().validate()
        if self.batch_norm and (self.r1 or self.spectral_norm):
            name = "r1" if self.r1 else "spectral_norm"
            why = "mixes the images of a batch, so that no image has a slope of its own" if self.r1 else "undoes the bound"
            raise UsageError(f"{name} needs a discriminator without batch norm, which {why}: add --no-batch-norm")


class DCGAN(AdversarialGame):
    """A generator of transposed convolutions, a discriminator of strided ones, batch norm in both."""

    Config = DCGANConfig
    summary = "adversarial networks of strided convolutions and batch norm"
    paper = "Radford et al. 2015"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "28": {},
        "32": {"features": (64, 128, 256)},
        "64": {"features": (32, 64, 128, 256)},
    }
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-4, "beta1": 0.5, "schedule": "constant"}

    def __init__(self, config: DCGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.noise, self.label_sizes = config, config.noise, label_sizes(data, config.conditional)
        self.generator = Generator(
            generator_layers(data, config.noise + sum(self.label_sizes), config.features), self.label_sizes
        )
        norm: Norm = "batch" if config.batch_norm else "none"
        body, features = discriminator_body(data, data.channels * config.pack, config.features, norm)
        head = nn.Linear(features, 1)
        initialized(nn.Sequential(head))
        self.discriminator: nn.Module = Discriminator(body, head, self.label_sizes)
        if config.spectral_norm:
            self.discriminator = spectrally_normalized(self.discriminator)

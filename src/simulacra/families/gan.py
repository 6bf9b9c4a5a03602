"""Generative adversarial networks: one network forges images, another tells them from real ones (Goodfellow et al. 2014)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.games.adversarial import AdversarialConfig, AdversarialGame
from simulacra.networks.adversarial import Discriminator, Generator, leaky, spectrally_normalized
from simulacra.networks.labels import label_sizes
from simulacra.networks.mlp import dense


@dataclass(frozen=True)
class GANConfig(AdversarialConfig):
    """Settings of a dense GAN."""

    noise: int = option(64, "dimensions of the noise", low=1)
    hidden: tuple[int, ...] = option((256, 256), "widths of the generator's dense layers (mirrored in the discriminator)", low=1)


class GAN(AdversarialGame):
    """A dense generator and a dense discriminator."""

    Config = GANConfig
    summary = "two dense networks: one forges images, one tells them from real ones"
    paper = "Goodfellow et al. 2014"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"dense": {}}
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-4, "beta1": 0.5, "schedule": "constant"}

    def __init__(self, config: GANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.noise, self.label_sizes = config, config.noise, label_sizes(data, config.conditional)
        layers, top = _layers(config.noise + sum(self.label_sizes), config.hidden)
        self.generator = Generator(
            nn.Sequential(*layers, dense(top, data.dimensions), nn.Unflatten(1, data.shape)), self.label_sizes
        )
        layers, top = _layers(data.dimensions * config.pack, config.hidden[::-1])
        self.discriminator: nn.Module = Discriminator(nn.Sequential(nn.Flatten(), *layers), dense(top, 1), self.label_sizes)
        if config.spectral_norm:
            self.discriminator = spectrally_normalized(self.discriminator)


def _layers(inputs: int, hidden: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    """Return dense layers, each with its non-linearity, and the width of the last."""
    layers: list[nn.Module] = []
    for outputs in hidden:
        layers += [dense(inputs, outputs), leaky()]
        inputs = outputs
    return layers, inputs

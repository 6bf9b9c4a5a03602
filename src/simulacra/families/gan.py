"""Generative adversarial networks: one network forges images, another tells them from real ones (Goodfellow et al. 2014)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Samples
from simulacra.core.config import option
from simulacra.core.family import Family, Turn
from simulacra.networks.adversaries import (
    Discriminator,
    Generator,
    classes_of,
    drawn_classes,
    leaky,
    noise_size,
    spectrally_normalized,
)
from simulacra.networks.mlp import dense
from simulacra.objectives.duel import Duel, DuelConfig


@dataclass(frozen=True)
class GANConfig(DuelConfig):
    """Settings of a dense GAN."""

    noise: int = option(64, "dimensions of the noise", low=1)
    hidden: tuple[int, ...] = option((256, 256), "widths of the generator's dense layers (mirrored in the discriminator)", low=1)


class GAN(Family, Samples):
    """A dense generator and a dense discriminator."""

    Config = GANConfig
    summary = "two dense networks: one forges images, one tells them from real ones"
    paper = "Goodfellow et al. 2014"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"dense": {}}
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-4, "beta1": 0.5, "schedule": "constant"}

    def __init__(self, config: GANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.classes = config, classes_of(data, config.conditional)
        layers, top = _layers(config.noise + self.classes, config.hidden)
        self.generator = Generator(nn.Sequential(*layers, dense(top, data.dimensions), nn.Unflatten(1, data.shape)), self.classes)
        layers, top = _layers(data.dimensions * config.pack, config.hidden[::-1])
        self.discriminator: nn.Module = Discriminator(nn.Sequential(nn.Flatten(), *layers), dense(top, 1), self.classes)
        if config.spectral_norm:
            self.discriminator = spectrally_normalized(self.discriminator)

    def players(self) -> dict[str, nn.Module]:
        """Return the discriminator and the generator."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def turns(self) -> tuple[Turn, ...]:
        """Return the discriminator's turn, then the generator's."""
        return Duel(self.generator, self.discriminator, self.config, self.config.noise).turns()

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the noise of one image."""
        return (noise_size(self.config.noise, self.classes),)

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images [b c h w] in [0, 1]."""
        images: Tensor = self.generator(*drawn_classes(noise, labels, self.classes))
        return images


def _layers(inputs: int, hidden: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    """Return dense layers, each with its non-linearity, and the width of the last."""
    layers: list[nn.Module] = []
    for outputs in hidden:
        layers += [dense(inputs, outputs), leaky()]
        inputs = outputs
    return layers, inputs

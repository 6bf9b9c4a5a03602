"""A convolutional GAN without normalization, in the layers of a well-known Keras example (losses of Goodfellow et al. 2014)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.games.adversarial import AdversarialConfig, AdversarialGame
from simulacra.networks.adversarial import Discriminator, Generator, leaky, spectrally_normalized
from simulacra.networks.kernels.dropout import Dropout
from simulacra.networks.kernels.memory_layout import Flatten, Unflatten
from simulacra.networks.labels import label_sizes
from simulacra.networks.mlp import dense
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, halved


@dataclass(frozen=True)
class ConvGANConfig(AdversarialConfig):
    """Settings of a convolutional GAN."""

    noise: int = option(100, "dimensions of the noise", low=1)
    generator_features: int = option(128, "feature maps of each of the generator's layers", low=1)
    discriminator_features: int = option(64, "feature maps of each of the discriminator's layers", low=1)
    dropout: float = option(0.4, "share of the discriminator's features that are dropped", low=0, high=0.9)


class ConvGAN(AdversarialGame):
    """Two halvings of the image, two doublings of a small one; dropout keeps the discriminator from learning by heart."""

    Config = ConvGANConfig
    config: ConvGANConfig
    summary = "two convolutional networks without batch norm, the discriminator with dropout"
    paper = "Goodfellow et al. 2014"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"conv": {}}
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-4, "beta1": 0.5, "schedule": "constant"}

    def __init__(self, config: ConvGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.noise, self.label_sizes = config, config.noise, label_sizes(data, config.conditional)
        sizes = _sizes(data)
        self.generator = Generator(_generator_layers(config, data, config.noise + sum(self.label_sizes), sizes), self.label_sizes)
        maps = config.discriminator_features
        body = nn.Sequential(
            *_halving(data.channels * config.pack, maps, config.dropout), *_halving(maps, maps, config.dropout), Flatten()
        )
        head = dense(maps * sizes[2][0] * sizes[2][1], 1)
        self.discriminator: nn.Module = Discriminator(body, head, self.label_sizes)
        if config.spectral_norm:
            self.discriminator = spectrally_normalized(self.discriminator)


def _generator_layers(config: ConvGANConfig, data: DataSpec, inputs: int, sizes: list[tuple[int, int]]) -> nn.Sequential:
    """Return layers from noise [b inputs] to what the sigmoid makes images of.

    The last is a convolution 7x7. It is written as the transposed one, which is the same layer with its kernel turned by 180
    degrees, since that has a fast path to a single channel.
    """
    maps = config.generator_features
    bottom = (maps, *sizes[2])
    return nn.Sequential(
        dense(inputs, maps * sizes[2][0] * sizes[2][1]),
        leaky(),
        Unflatten(1, bottom),
        SameConvTranspose2d(maps, maps, 4, 2, sizes[1]),
        leaky(),
        SameConvTranspose2d(maps, maps, 4, 2, sizes[0]),
        leaky(),
        SameConvTranspose2d(maps, data.channels, 7, 1, sizes[0]),
    )


def _halving(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [SameConv2d(inputs, outputs, 3, 2), leaky(), Dropout(dropout)]


def _sizes(data: DataSpec) -> list[tuple[int, int]]:
    """Return the image size before and after each of two halvings."""
    size = (data.height, data.width)
    return [size, halved(size), halved(halved(size))]

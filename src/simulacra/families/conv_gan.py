"""A convolutional GAN without normalization, with the layers of a Keras example (losses of Goodfellow et al. 2014)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.adversarial import AdversarialConfig, AdversarialGame, augmentation_for
from simulacra.networks.adversarial import leaky
from simulacra.networks.kernels.dropout import Dropout
from simulacra.networks.kernels.memory_layout import Flatten, Unflatten
from simulacra.networks.labels import label_sizes
from simulacra.networks.mlp import dense
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, downsampled_sizes


@dataclass(frozen=True)
class ConvGANConfig(AdversarialConfig):
    """Settings of a convolutional GAN."""

    noise: int = option(100, "dimensions of the generator's noise", low=1)
    generator_features: int = option(128, "feature maps of each of the generator's layers", low=1)
    discriminator_features: int = option(64, "feature maps of each of the discriminator's layers", low=1)
    dropout: float = option(0.4, "dropout rate of the discriminator", low=0, high=0.9)


class ConvGAN(AdversarialGame):
    """Two upsampling layers in the generator; two downsampling layers in the discriminator, each followed by dropout."""

    Config = ConvGANConfig
    config: ConvGANConfig
    summary = "convolutional networks without batch norm; dropout in the discriminator"
    paper = "Goodfellow et al. 2014"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"conv": {}}
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-4, "beta1": 0.5, "schedule": "constant"}

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return augmentations of small data sets."""
        return augmentation_for(facts)

    def __init__(self, config: ConvGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.noise, self.label_sizes = config, config.noise, label_sizes(data, config.conditional)
        sizes = downsampled_sizes(data.height, data.width, 2)
        layers = _generator_layers(config, data, config.noise + sum(self.label_sizes), sizes)
        maps = config.discriminator_features
        body = nn.Sequential(
            *_downsample(data.channels * config.pack, maps, config.dropout), *_downsample(maps, maps, config.dropout), Flatten()
        )
        self.set_networks(layers, body, dense(maps * sizes[2][0] * sizes[2][1], 1))


def _generator_layers(config: ConvGANConfig, data: DataSpec, inputs: int, sizes: list[tuple[int, int]]) -> nn.Sequential:
    """Return layers from noise [b inputs] to logits of pixels.

    The last is a 7x7 convolution, written as a transposed one: the same layer with a rotated kernel, faster for one channel.
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


def _downsample(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [SameConv2d(inputs, outputs, 3, 2), leaky(), Dropout(dropout)]

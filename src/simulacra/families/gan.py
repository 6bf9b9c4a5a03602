"""Generative adversarial networks: a generator and a discriminator of dense layers (Goodfellow et al. 2014)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import option
from simulacra.core.family import Family
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.adversarial import AdversarialConfig, AdversarialGame, augmentation_for
from simulacra.games.own_networks import checked_decoder, checked_discriminator, named_family
from simulacra.networks.labels import label_sizes
from simulacra.networks.mlp import dense, mlp


@dataclass(frozen=True)
class GANConfig(AdversarialConfig):
    """Settings of a dense GAN."""

    noise: int = option(64, "dimensions of the generator's noise", low=1)
    hidden: tuple[int, ...] = option((256, 256), "widths of the generator's dense layers (mirrored in the discriminator)", low=1)


class GAN(AdversarialGame):
    """A dense generator and a dense discriminator."""

    Config: ClassVar[type[AdversarialConfig]] = GANConfig
    summary = "a generator and a discriminator of dense layers"
    paper = "Goodfellow et al. 2014"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"dense": {}}
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-4, "beta1": 0.5, "schedule": "constant"}

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return augmentations of small data sets."""
        return augmentation_for(facts)

    def __init__(self, config: GANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.noise, self.label_sizes = config, config.noise, label_sizes(data, config.conditional)
        widths = (config.noise + sum(self.label_sizes), *config.hidden)
        layers = [*mlp(widths[0], widths[1:], "leaky"), dense(widths[-1], data.dimensions), nn.Unflatten(1, data.shape)]
        widths = (data.dimensions * config.pack, *config.hidden[::-1])
        body = nn.Sequential(nn.Flatten(), *mlp(widths[0], widths[1:], "leaky"))
        self.set_networks(nn.Sequential(*layers), body, dense(widths[-1], 1))

    @classmethod
    def with_networks(cls, generator: nn.Module, discriminator: nn.Sequential, noise: int, name: str = "OwnGAN") -> "type[GAN]":
        """Return this family with networks of one's own, to train with `simulacra.train`.

        generator: from noise [b noise] to logits of pixels [b c h w], to which a sigmoid is applied; discriminator: from images
        [b c h w] in [0, 1] to features, and then nn.Linear(features, 1). With `conditional` the generator receives one-hot labels
        after the noise, with `pack` the discriminator receives pack * c channels. Every model starts from copies of them, with
        their weights. name: of the class. Raises UsageError when a model is made for images whose shape the networks do not fit.
        """

        class Own(GAN):
            """A GAN with networks of a user's own."""

            Config = AdversarialConfig
            presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
            channels_last = False

            def __init__(self, config: AdversarialConfig, data: DataSpec) -> None:
                Family.__init__(self)
                self.config, self.noise, self.label_sizes = config, noise, label_sizes(data, config.conditional)
                layers = checked_decoder(generator, noise + sum(self.label_sizes), data.channels, data, "generator")
                self.set_networks(layers, *checked_discriminator(discriminator, data.channels * config.pack, data))

        named_family(Own, name)
        return Own

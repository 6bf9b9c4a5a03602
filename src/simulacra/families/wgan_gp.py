"""Wasserstein GANs with a gradient penalty on the critic (Arjovsky et al. 2017; Gulrajani et al. 2017)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import HasDiscriminator
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.family import Family, Loss, Turn, training_condition
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.adversarial import SamplesFromGenerator
from simulacra.networks.adversarial import Discriminator, Generator
from simulacra.networks.dcgan import Rescale, discriminator_body, generator_layers
from simulacra.networks.labels import label_sizes
from simulacra.networks.mlp import dense, mlp
from simulacra.objectives.adversarial import wasserstein_critic_loss, wasserstein_generator_loss
from simulacra.objectives.gradient_penalty import gradient_penalty


@dataclass(frozen=True)
class WGANGPConfig(Config):
    """Settings of a WGAN-GP."""

    network: Literal["conv", "dense"] = option("conv", "architecture: convolutional or fully connected")
    noise: int = option(100, "dimensions of the generator's noise", low=1)
    features: tuple[int, ...] = option(
        (64, 128), "conv: feature maps after each downsampling by 2 (reversed in the generator)", low=1
    )
    hidden: tuple[int, ...] = option((256, 256), "dense: widths of the generator's layers (mirrored in the critic)", low=1)
    norm: Literal["none", "layer"] = option("none", "conv: normalization in the critic")
    critic_steps: int = option(5, "critic updates per generator update", low=1)
    penalty: float = option(10.0, "weight of the gradient penalty, lambda", low=0)
    conditional: bool = option(False, "condition on the labels of the images")


class WGANGP(Family, SamplesFromGenerator, HasDiscriminator):
    """A critic that estimates the Wasserstein distance between real and generated images, and a generator that minimizes it."""

    Config = WGANGPConfig
    summary = "a critic with a gradient penalty estimates the Wasserstein distance; a generator minimizes it"
    paper = "Gulrajani et al. 2017; Arjovsky et al. 2017"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"conv": {}, "dense": {"network": "dense"}}
    defaults: ClassVar[Mapping[str, object]] = {
        **{"lr": 1e-4, "beta1": 0.0, "beta2": 0.9, "schedule": "constant"},
        **{"batch": 64, "precision": "float32"},
    }

    def __init__(self, config: WGANGPConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.noise, self.label_sizes = config, config.noise, label_sizes(data, config.conditional)
        inputs = config.noise + sum(self.label_sizes)
        if config.network == "conv":
            layers = generator_layers(data, inputs, config.features)
            body, features = discriminator_body(data, data.channels, config.features, config.norm)
        else:
            top = ([inputs, *config.hidden])[-1]
            layers = nn.Sequential(mlp(inputs, config.hidden), dense(top, data.dimensions), nn.Unflatten(1, data.shape))
            body = nn.Sequential(Rescale(), nn.Flatten(), *mlp(data.dimensions, config.hidden[::-1], "leaky"))
            features = ([data.dimensions, *config.hidden[::-1]])[-1]
        self.generator = Generator(layers, self.label_sizes)
        self.critic = Discriminator(body, dense(features, 1), self.label_sizes)

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return feature maps for the images' size."""
        features = {"64": (32, 64, 128, 256), "32": (32, 64, 128)}
        return {"features": features[facts.preset]} if facts.preset else {}

    def players(self) -> dict[str, nn.Module]:
        """Return the critic and the generator."""
        return {"critic": self.critic, "generator": self.generator}

    def turns(self) -> tuple[Turn, ...]:
        """Return the critic's turn, repeated on new batches, then the generator's (Gulrajani et al. 2017, algorithm 1)."""
        return (Turn(self._critic_loss, repeats=self.config.critic_steps), Turn(self._generator_loss))

    def discriminator_features(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return features [b f] of the critic."""
        require_accepted(self, condition, len(images))
        return self.critic.body(images).flatten(1).float()

    def _critic_loss(self, batch: Batch) -> dict[str, Loss]:
        """Minus the estimated distance, plus lambda times the penalty (Gulrajani et al. 2017, eq. 3)."""
        condition = training_condition(self.accepts, batch)
        with torch.no_grad():  # the generator needs no graph here
            fakes = self._fakes(batch, condition)
        real, fake = self.critic(batch.images, condition), self.critic(fakes, condition)
        penalty = gradient_penalty(lambda points: self.critic(points, condition), batch.images, fakes)
        difference = wasserstein_critic_loss(real, fake)
        means = {"real_score": real.mean(), "fake_score": fake.mean()}
        parts = {"distance_estimate": -difference, "gradient_penalty": penalty, **means}
        return {"critic": Loss(difference + self.config.penalty * penalty, parts)}

    def _generator_loss(self, batch: Batch) -> dict[str, Loss]:
        condition = training_condition(self.accepts, batch)
        return {"generator": Loss(wasserstein_generator_loss(self.critic(self._fakes(batch, condition), condition)))}

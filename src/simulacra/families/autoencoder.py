"""Autoencoders: an encoder and a decoder with a low-dimensional bottleneck (Hinton & Salakhutdinov 2006)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import LatentSpace, Reconstructs
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.own_networks import checked_decoder, checked_encoder, named_family
from simulacra.networks.encoder_decoder import BY_SIZE, EncoderDecoderConfig, NetworkConfig, decoder, encoder
from simulacra.networks.mlp import dense


@dataclass(frozen=True)
class _NetworkConfig(NetworkConfig):
    """Settings of the networks of an autoencoder."""

    downsample: Literal["stride", "pool"] = option("stride", "conv: downsampling by strided convolution or by max pooling")

    @property
    def trunk(self) -> EncoderDecoderConfig:
        """The architecture that encoder and decoder share."""
        return replace(super().trunk, downsample=self.downsample)


@dataclass(frozen=True)
class LossConfig(Config):
    """Settings of the loss of an autoencoder."""

    loss: Literal["mse", "bce"] = option("mse", "reconstruction loss, summed over pixels: squared error or binary cross-entropy")


@dataclass(frozen=True)
class AutoencoderConfig(LossConfig, _NetworkConfig):  # in this order the fields of the networks come first
    """Settings of an autoencoder."""


class Autoencoder(Family, LatentSpace, Reconstructs):
    """A deterministic encoder and decoder, trained to reproduce their input."""

    Config: ClassVar[type[LossConfig]] = AutoencoderConfig
    summary = "a deterministic encoder and decoder with a low-dimensional latent space"
    paper = "Hinton & Salakhutdinov 2006"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "conv": {},
        "dense": {"network": "dense", "hidden": (512, 256)},
        **BY_SIZE,
    }
    prior = "none"
    amortized = True
    config: LossConfig

    def __init__(self, config: AutoencoderConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.latent_dim = config, config.latent_dim
        trunk = config.trunk
        body, features = encoder(data, trunk)
        self.encoder = nn.Sequential(body, dense(features, config.latent_dim))
        self.decoder = decoder(data, trunk, config.latent_dim, data.channels)

    @classmethod
    def with_networks(cls, encoder: nn.Module, decoder: nn.Module, name: str = "OwnAutoencoder") -> "type[Autoencoder]":
        """Return this family with networks of one's own, to train with `simulacra.train`.

        encoder: from images [b c h w] in [0, 1] to latents [b d]; decoder: from latents to logits [b c h w], to which a sigmoid
        is applied. Every model starts from copies of them, with their weights. name: of the class. Raises UsageError when a model
        is made for images whose shape the networks do not fit.
        """

        class Own(Autoencoder):
            """An autoencoder with networks of a user's own."""

            Config = LossConfig
            presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
            channels_last = False

            def __init__(self, config: LossConfig, data: DataSpec) -> None:
                Family.__init__(self)
                self.config = config
                checked, self.latent_dim = checked_encoder(encoder, data)
                self.add_module("encoder", checked)
                self.decoder = checked_decoder(decoder, self.latent_dim, data.channels, data)

        named_family(Own, name)
        return Own

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return the preset of the images' size, and a learning rate for a short training."""
        return {**facts.of_size, "lr": 3e-3}

    def players(self) -> dict[str, nn.Module]:
        """Return one player, the autoencoder."""
        return {"autoencoder": self}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: the reconstruction loss."""
        return (Turn(self._reconstruction_loss),)

    def encode(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return latents [b latent_dim]."""
        require_accepted(self, condition, len(images))
        return self.encoder(images)

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1]."""
        require_accepted(self, condition, len(latents))
        return torch.sigmoid(self.decoder(latents).float())

    def reconstruct(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Decode the latents of the images."""
        return self.decode(self.encode(images, condition), condition)

    def _reconstruction_loss(self, batch: Batch) -> dict[str, Loss]:
        """Error summed over pixels, mean over images; the logged `mse` is a mean over pixels."""
        logits = self.decoder(self.encode(batch.images)).float()
        squared = (torch.sigmoid(logits) - batch.images) ** 2
        if self.config.loss == "mse":
            errors = squared
        else:
            errors = F.binary_cross_entropy_with_logits(logits, batch.images, reduction="none")
        return {"autoencoder": Loss(errors.flatten(1).sum(1).mean(), {"mse": squared.mean()})}

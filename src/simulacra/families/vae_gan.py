"""VAE/GAN: a VAE whose reconstruction loss is measured in the features of a discriminator (Larsen et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import HasDiscriminator, Posterior
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.variational import VariationalLatentSpace, drawn, posterior_of
from simulacra.networks.adversarial import Discriminator
from simulacra.networks.dcgan import Norm, discriminator_body
from simulacra.networks.encoder_decoder import EncoderDecoderConfig, decoder, encoder
from simulacra.networks.kernels.memory_layout import flatten, keep_gradient_layout
from simulacra.networks.mlp import dense
from simulacra.objectives.adversarial import ADVERSARIAL_LOSSES, check_smoothing, discriminator_statistics
from simulacra.objectives.divergence import kl_to_standard_normal
from simulacra.objectives.gradient_penalty import zero_centered_penalty

_LEAST_VARIANCE = 1e-12  # of features, against division by zero


@dataclass(frozen=True)
class VAEGANConfig(Config):
    """Settings of a VAE/GAN."""

    latent_dim: int = option(16, "number of latent dimensions", low=1)
    features: tuple[int, ...] = option((32, 64), "encoder and decoder: feature maps after each downsampling by 2", low=1)
    hidden: tuple[int, ...] = option((128,), "widths of the encoder's dense layers", low=1)
    discriminator_features: tuple[int, ...] = option(
        (32, 64, 128), "discriminator: feature maps after each downsampling by 2", low=1
    )
    batch_norm: bool = option(
        False, "discriminator: batch norm after all layers but the first, over real and over generated images separately"
    )
    layer: int = option(1, "the discriminator's layer of the feature reconstruction loss, counted from 1", low=1)
    gamma: float = option(0.05, "decoder: weight of the feature reconstruction loss against the adversarial loss", low=0)
    beta: float = option(20.0, "encoder: weight of the KL term against the feature reconstruction loss", low=0)
    loss: Literal["non-saturating", "saturating", "hinge", "least-squares"] = option(
        "non-saturating", "adversarial loss; saturating is that of the paper"
    )
    smoothing: float = option(0.0, "one-sided label smoothing: targets of real images are 1 minus this", low=0, high=0.5)
    r1: float = option(0.0, "weight (gamma) of the R1 penalty on the discriminator's gradient at real images", low=0)

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        if self.layer > len(self.discriminator_features):
            layers = len(self.discriminator_features)
            raise UsageError(
                f"layer is {self.layer}, and the discriminator has {layers}: at most {layers}, or more --discriminator-features"
            )
        check_smoothing(self.loss, self.smoothing)
        if self.batch_norm and self.r1:
            raise UsageError("r1 needs a discriminator without batch norm, which couples the images of a batch: leave one out")


class VAEGAN(Family, VariationalLatentSpace, HasDiscriminator):
    """An encoder, a decoder and a discriminator; reconstructions are compared in features of the discriminator."""

    Config = VAEGANConfig
    summary = "a VAE with a reconstruction loss in the features of a discriminator"
    paper = "Larsen et al. 2015"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "28": {},
        "32": {"features": (32, 64, 128), "latent_dim": 64},
        "64": {"features": (32, 64, 128, 256), "discriminator_features": (32, 64, 128, 256), "latent_dim": 128},
    }
    defaults: ClassVar[Mapping[str, object]] = {"lr": 1e-3, "beta1": 0.5, "batch": 64}

    def __init__(self, config: VAEGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.latent_dim = config, config.latent_dim
        trunk = EncoderDecoderConfig("conv", config.features, config.hidden)
        body, features = encoder(data, trunk)
        heads = {"mean": dense(features, config.latent_dim), "log_var": dense(features, config.latent_dim)}
        self.encoder = nn.ModuleDict({"body": body, **heads})
        self.decoder = decoder(data, trunk, config.latent_dim, data.channels)
        norm: Norm = "batch" if config.batch_norm else "none"
        discriminator_layers, width = discriminator_body(data, data.channels, config.discriminator_features, norm)
        self.discriminator = Discriminator(discriminator_layers, dense(width, 1))

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return the preset of the images' size."""
        return facts.of_size

    def players(self) -> dict[str, nn.Module]:
        """Return the encoder, the decoder and the discriminator."""
        return {"encoder": self.encoder, "decoder": self.decoder, "discriminator": self.discriminator}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn of all three players (Larsen et al. 2015, algorithm 1)."""
        return (Turn(self._losses),)

    def discriminator_features(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return features [b f] of the discriminator."""
        require_accepted(self, condition, len(images))
        return self.discriminator.body(images).flatten(1).float()

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        """Return beta * rate + feature loss, gamma * feature loss + generator loss, and the discriminator's loss of a GAN.

        The adversarial losses weight reconstructions and samples of the prior by 1/2 each, the paper's sum by 1 each.
        """
        images, criterion = batch.images, ADVERSARIAL_LOSSES[self.config.loss]
        posterior = self.posterior(images)
        latents = drawn(posterior, 1)[0]
        fakes = self.decode(torch.cat([latents, torch.randn_like(latents)]))
        (features, real), (fake_features, fake) = self._features_and_logits(images), self._features_and_logits(fakes)
        rate = kl_to_standard_normal(posterior.mean, posterior.log_var).sum(1).mean()
        feature_loss = feature_reconstruction(features, fake_features[: len(images)]).mean()
        discriminator = criterion.discriminator(real, fake, self.config.smoothing)
        parts = discriminator_statistics(real, fake, criterion.boundary, criterion.saturation_logit)
        if self.config.r1:
            parts["r1"] = zero_centered_penalty(self.discriminator, images)
            discriminator = discriminator + self.config.r1 * parts["r1"]
        generator = criterion.generator(fake)
        return {
            "encoder": Loss(
                self.config.beta * rate + feature_loss, {"rate_nats": rate, "feature_reconstruction_nats": feature_loss}
            ),
            "decoder": Loss(self.config.gamma * feature_loss + generator, {"generator_loss": generator}),
            "discriminator": Loss(discriminator, parts),
        }

    def _features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the chosen layer [b c h w] and the logits [b] of images."""
        body = self.discriminator.body
        end = 1 + 3 * self.config.layer  # rescaling, then convolution, norm and activation for each layer
        low = body[:end](images)
        logits: Tensor = self.discriminator.head(body[end:](low))[:, 0].float()
        return keep_gradient_layout(low), logits

    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q(z|x)."""
        require_accepted(self, condition, len(images))
        features = self.encoder["body"](images)
        return posterior_of(self.encoder["mean"](features), self.encoder["log_var"](features))

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images."""
        require_accepted(self, condition, len(latents))
        return torch.sigmoid(self.decoder(latents).float())


def feature_reconstruction(real: Tensor, fake: Tensor) -> Tensor:
    """Return half the squared distance [b] of features [b c h w], summed over features, in units of their own variance.

    Up to a constant, minus the log-density in nats of the real features under N(fake features, 1) (Larsen et al. 2015, eq. 8).
    Both are first divided by the standard deviation of the real ones: over batch and pixels, variances averaged over channels.
    """
    real, fake = real.float(), fake.float()
    variance = real.detach().var((0, 2, 3), unbiased=False).mean().clamp_min(_LEAST_VARIANCE)
    return 0.5 * flatten(real - fake).square().sum(1) / variance

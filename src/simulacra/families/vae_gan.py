"""VAE/GAN: a VAE whose decoder is a generator, and whose likeness is what a discriminator sees (Larsen et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import Posterior
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.games.variational import VariationalLatentSpace, drawn, posterior_of
from simulacra.networks.adversarial import Discriminator
from simulacra.networks.dcgan import Norm, discriminator_body
from simulacra.networks.encoder_decoder import Trunk, decoder, encoder
from simulacra.networks.kernels.memory_layout import aligned, flat
from simulacra.networks.mlp import dense
from simulacra.objectives.adversarial import CRITERIA, check_smoothing, verdict
from simulacra.objectives.divergence import kl_to_standard_normal
from simulacra.objectives.gradient_penalty import zero_centered_penalty

_LEAST_VARIANCE = 1e-12  # of features: below it all real images look the same


@dataclass(frozen=True)
class VAEGANConfig(Config):
    """Settings of a VAE/GAN."""

    latent_dim: int = option(16, "latent dimensions", low=1)
    features: tuple[int, ...] = option((32, 64), "encoder and decoder: feature maps after each halving of the image", low=1)
    hidden: tuple[int, ...] = option((128,), "widths of the encoder's dense layers", low=1)
    discriminator_features: tuple[int, ...] = option(
        (32, 64, 128), "discriminator: feature maps after each halving of the image", low=1
    )
    batch_norm: bool = option(False, "discriminator: batch norm behind its first layer, over real images and over fakes apart")
    layer: int = option(1, "the discriminator's layer in which images are compared, counted from 1", low=1)
    gamma: float = option(0.05, "decoder: weight of likeness against being believed", low=0)
    beta: float = option(20.0, "encoder: weight of the KL term against likeness", low=0)
    loss: Literal["non-saturating", "saturating", "hinge", "least-squares"] = option(
        "non-saturating", "what decoder and discriminator play for; saturating is the game as the paper writes it"
    )
    smoothing: float = option(0.0, "how far the target of real images lies below 1; fakes keep theirs", low=0, high=0.5)
    r1: float = option(0.0, "gamma of the penalty on the discriminator's slope at real images; 0 leaves it out", low=0)

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        if self.layer > len(self.discriminator_features):
            layers = len(self.discriminator_features)
            raise UsageError(
                f"layer is {self.layer}, and the discriminator has {layers}: at most {layers}, or more --discriminator-features"
            )
        check_smoothing(self.loss, self.smoothing)
        if self.batch_norm and self.r1:
            raise UsageError(
                "r1 needs a discriminator without batch norm, which mixes the images of a batch: leave one of them out"
            )


class VAEGAN(Family, VariationalLatentSpace):
    """Encoder, decoder and discriminator: the last judges what is real, and lends its features to compare images in."""

    Config = VAEGANConfig
    summary = "a VAE with sharp images: likeness is measured in the features of a discriminator"
    paper = "Larsen et al. 2015"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "28": {},
        "32": {"features": (32, 64, 128), "latent_dim": 64},
        "64": {"features": (32, 64, 128, 256), "discriminator_features": (32, 64, 128, 256), "latent_dim": 128},
    }
    defaults: ClassVar[Mapping[str, object]] = {"lr": 1e-3, "beta1": 0.5, "batch": 64}

    def __init__(self, config: VAEGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        trunk = Trunk("conv", config.features, config.hidden)
        body, features = encoder(data, trunk)
        heads = {"mean": dense(features, config.latent_dim), "log_var": dense(features, config.latent_dim)}
        self.encoder = nn.ModuleDict({"body": body, **heads})
        self.decoder = decoder(data, trunk, config.latent_dim, data.channels)
        norm: Norm = "batch" if config.batch_norm else "none"
        judge, judged = discriminator_body(data, data.channels, config.discriminator_features, norm)
        self.discriminator = Discriminator(judge, dense(judged, 1))

    # --- training

    def players(self) -> dict[str, nn.Module]:
        """Return the encoder, the decoder and the discriminator."""
        return {"encoder": self.encoder, "decoder": self.decoder, "discriminator": self.discriminator}

    def turns(self) -> tuple[Turn, ...]:
        """Return the one turn in which all three move (Larsen et al. 2015, algorithm 1)."""
        return (Turn(self._all_three),)

    def _all_three(self, batch: Batch) -> dict[str, Loss]:
        """Beta * rate + unlikeness; gamma * unlikeness + what the generator of a GAN lowers; what its discriminator lowers.

        Both kinds of fakes, reconstructions and samples of the prior, count half in the game, so that there are as many fakes as
        real images; the paper's sum has twice as many.
        """
        images, criterion = batch.images, CRITERIA[self.config.loss]
        posterior = self.posterior(images)
        latents = drawn(posterior, 1)[0]
        fakes = self.decode(torch.cat([latents, torch.randn_like(latents)]))
        (seen, real), (remade, fake) = self._judged(images), self._judged(fakes)
        rate = kl_to_standard_normal(posterior.mean, posterior.log_var).sum(1).mean()
        unlike = unlikeness(seen, remade[: len(images)]).mean()
        judging = criterion.discriminator(real, fake, self.config.smoothing)
        parts = verdict(real, fake, criterion.boundary, criterion.certain)
        if self.config.r1:
            parts["r1"] = zero_centered_penalty(self.discriminator, images)
            judging = judging + self.config.r1 * parts["r1"]
        believed = criterion.generator(fake)
        return {
            "encoder": Loss(self.config.beta * rate + unlike, {"rate_nats": rate, "unlikeness_nats": unlike}),
            "decoder": Loss(self.config.gamma * unlike + believed, {"generator_loss": believed}),
            "discriminator": Loss(judging, parts),
        }

    def _judged(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the chosen layer [b c h w] and the logits [b] of images."""
        body = self.discriminator.body
        end = 1 + 3 * self.config.layer  # what scales images, then a convolution, a norm and a slope for each layer
        low = body[:end](images)
        logits: Tensor = self.discriminator.head(body[end:](low))[:, 0].float()
        return aligned(low), logits

    # --- what it can do

    @property
    def latent_dim(self) -> int:
        """Latent dimensions."""
        return self.config.latent_dim

    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q(z|x)."""
        require_accepted(self, condition, len(images))
        features = self.encoder["body"](images)
        return posterior_of(self.encoder["mean"](features), self.encoder["log_var"](features))

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images."""
        require_accepted(self, condition, len(latents))
        return torch.sigmoid(self.decoder(latents).float())


def unlikeness(real: Tensor, fake: Tensor) -> Tensor:
    """Return half the squared distance [b] of features [b c h w], summed over features, in units of their own variance.

    Up to a constant, minus the log-density in nats of real features under N(those of the fake, 1) (Larsen et al. 2015, eq. 8),
    all divided by one number before: the root of the variance of the real ones over batch and pixels, averaged over channels.
    """
    real, fake = real.float(), fake.float()
    variance = real.detach().var((0, 2, 3), unbiased=False).mean().clamp_min(_LEAST_VARIANCE)
    return 0.5 * flat(real - fake).square().sum(1) / variance

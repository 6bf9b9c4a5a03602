"""A label-conditional VAE (Sohn et al. 2015) in one file, found like any other family."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import Posterior
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.family import Family, Loss, Turn, training_condition
from simulacra.games.variational import VariationalLatentSpace, drawn, posterior_of
from simulacra.networks.labels import drawn_labels, label_sizes, one_hot
from simulacra.networks.mlp import dense, mlp
from simulacra.objectives.divergence import kl_to_standard_normal


@dataclass(frozen=True)
class LabelVAEConfig(Config):
    """Settings of a label-conditional VAE."""

    latent_dim: int = option(4, "number of latent dimensions", low=1)
    hidden: tuple[int, ...] = option((32,), "widths of the dense layers", low=1)


class LabelVAE(Family, VariationalLatentSpace):
    """Encoder and decoder receive the label as a one-hot vector, or zeros if it is unknown."""

    Config = LabelVAEConfig
    summary = "a VAE whose encoder and decoder receive labels"
    paper = "Sohn et al. 2015"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"dense": {}}

    def __init__(self, config: LabelVAEConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.latent_dim = config, config.latent_dim
        self.label_sizes = label_sizes(data, conditional=True)
        labels, width = sum(self.label_sizes), config.hidden[-1]
        self.encoder = nn.Sequential(mlp(data.dimensions + labels, config.hidden), dense(width, 2 * config.latent_dim))
        self.decoder = nn.Sequential(
            mlp(config.latent_dim + labels, config.hidden), dense(width, data.dimensions), nn.Unflatten(1, data.shape)
        )

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """A sample of the prior, and one number for each label."""
        return (self.latent_dim + len(self.label_sizes),)

    def players(self) -> dict[str, nn.Module]:
        """Return one player."""
        return {"vae": self}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: the negative ELBO of a Gaussian likelihood of variance 1/2."""
        return (Turn(self._loss),)

    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q(z|x, label)."""
        mean, log_var = self.encoder(self._with_labels(images.flatten(1), condition)).chunk(2, 1)
        return posterior_of(mean, log_var)

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images."""
        return torch.sigmoid(self.decoder(self._with_labels(latents, condition)).float())

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Decode samples of the prior."""
        require_accepted(self, condition, len(noise))
        latents, labels = drawn_labels(noise, condition.labels, self.label_sizes)
        return self.decode(latents, Condition(labels))

    def _with_labels(self, inputs: Tensor, condition: Condition) -> Tensor:
        require_accepted(self, condition, len(inputs))
        if condition.labels is None:
            return torch.cat([inputs, inputs.new_zeros(len(inputs), sum(self.label_sizes))], 1)
        return torch.cat([inputs, one_hot(condition.labels, self.label_sizes).to(inputs.dtype)], 1)

    def _loss(self, batch: Batch) -> dict[str, Loss]:
        condition = training_condition(self.accepts, batch)
        posterior = self.posterior(batch.images, condition)
        images = self.decode(drawn(posterior, 1)[0], condition)
        rate = kl_to_standard_normal(posterior.mean, posterior.log_var).sum(1).mean()
        error = (images - batch.images).square().flatten(1).sum(1).mean()
        return {"vae": Loss(rate + error, {"rate_nats": rate})}

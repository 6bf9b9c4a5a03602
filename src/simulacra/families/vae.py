"""Variational autoencoders (Kingma & Welling 2013) and their importance-weighted bound (Burda et al. 2015)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import ELBOTerms, HasLikelihood, LogLikelihood, Posterior
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.games.variational import VariationalLatentSpace, drawn, posterior_of
from simulacra.networks.encoder_decoder import EncoderDecoderConfig, decoder, encoder
from simulacra.networks.mlp import dense
from simulacra.objectives import likelihood
from simulacra.objectives.divergence import (
    importance_weighted_bound,
    kl_to_standard_normal,
    normal_log_density,
    standard_normal_log_density,
)

_CHUNK = 4096 * 784  # pixel values per decoder call in `log_likelihood`
_LEAST_LOG_SIGMA = -6.0  # of the Gaussian likelihood: far below the width of a grey level


@dataclass(frozen=True)
class VAEConfig(Config):
    """Settings of a VAE."""

    network: Literal["conv", "dense"] = option("conv", "architecture: convolutional or fully connected")
    latent_dim: int = option(16, "number of latent dimensions", low=1)
    features: tuple[int, ...] = option((32, 64), "conv: feature maps after each downsampling by 2", low=1)
    hidden: tuple[int, ...] = option((128,), "widths of the encoder's dense layers (dense: mirrored in the decoder)", low=1)
    activation: Literal["relu", "tanh", "silu"] = option("relu", "dense: activation function")
    likelihood: Literal["bernoulli", "gaussian", "logistic"] = option(
        "bernoulli", "distribution of a pixel: bernoulli, gaussian (learned sigma), logistic (256 levels)"
    )
    binarize: bool = option(False, "bernoulli: sample binary pixels from the grey levels at every step (dynamic binarization)")
    objective: Literal["elbo", "iwae"] = option("elbo", "training objective: evidence lower bound or importance-weighted bound")
    particles: int = option(1, "latent samples per image in training", low=1)
    beta: float = option(1.0, "weight of the KL term", low=0)
    reduction: Literal["sum", "mean"] = option(
        "sum", "sum: nats. mean: average over pixels and over latents, which is a beta of pixels/latents (49 for 784/16)"
    )

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        if self.objective == "iwae" and (self.beta != 1 or self.reduction != "sum"):
            raise UsageError("objective is 'iwae', which has neither beta nor reduction: leave beta 1 and reduction 'sum'")
        if self.binarize and self.likelihood != "bernoulli":
            raise UsageError(f"binarize needs likelihood 'bernoulli', got {self.likelihood!r}")


class VAE(Family, VariationalLatentSpace, HasLikelihood):
    """A latent-variable model p(x|z) N(z; 0, 1) with a diagonal Gaussian posterior q(z|x)."""

    Config = VAEConfig
    summary = "a probabilistic autoencoder: samples, reconstructs and bounds the likelihood"
    paper = "Kingma & Welling 2013; Burda et al. 2015"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "conv": {},
        "dense": {"network": "dense", "hidden": (400,), "latent_dim": 20},
        "iwae": {
            **{"network": "dense", "hidden": (200, 200), "latent_dim": 50, "activation": "tanh"},
            **{"binarize": True, "objective": "iwae", "particles": 5},
        },
    }

    def __init__(self, config: VAEConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.data, self.latent_dim = config, data, config.latent_dim
        trunk = EncoderDecoderConfig(config.network, config.features, config.hidden, activation=config.activation)
        self.encoder, features = encoder(data, trunk)
        self.mean = dense(features, config.latent_dim)
        self.log_var = dense(features, config.latent_dim)
        outputs = data.channels * (2 if config.likelihood == "logistic" else 1)
        self.decoder = decoder(data, trunk, config.latent_dim, outputs)
        self.log_sigma = nn.Parameter(torch.full((), math.log(0.1))) if config.likelihood == "gaussian" else None

    @property
    def beta(self) -> float:
        """Weight of the KL in nats against the distortion in nats: `reduction = mean` multiplies beta by pixels / latents."""
        scale = self.data.dimensions / self.latent_dim if self.config.reduction == "mean" else 1.0
        return self.config.beta * scale

    @property
    def target(self) -> str:
        """What the likelihood is of."""
        if self.config.binarize:
            return "dynamically binarized pixels"
        return {
            "bernoulli": "grey levels as Bernoulli means (not a likelihood of binary data)",
            "gaussian": "uniformly dequantized 256 grey levels (density)",
            "logistic": "256 grey levels (discretized logistic)",
        }[self.config.likelihood]

    @property
    def nats_to_discrete(self) -> float | None:
        """Log 256 per dimension for densities on [0, 1]; 0 for discrete likelihoods; None for Bernoulli pixels."""
        density = self.data.dimensions * math.log(256)
        return {"bernoulli": None, "gaussian": density, "logistic": 0.0}[self.config.likelihood]

    def players(self) -> dict[str, nn.Module]:
        """Return one player: encoder and decoder maximize the same bound."""
        return {"vae": self}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: the negative bound."""
        return (Turn(self._iwae_loss if self.config.objective == "iwae" else self._elbo_loss),)

    def _elbo_loss(self, batch: Batch) -> dict[str, Loss]:
        """Beta * rate + distortion in nats, mean over images; divided by the pixels where reduction is `mean`."""
        terms = self.elbo(self.observe(batch.images), particles=self.config.particles)
        rate, distortion = terms.rate.mean(), terms.distortion.mean()
        scale = self.data.dimensions if self.config.reduction == "mean" else 1
        parts = {"negative_elbo_nats": rate + distortion, "rate_nats": rate, "distortion_nats": distortion}
        return {"vae": Loss((self.beta * rate + distortion) / scale, parts)}

    def _iwae_loss(self, batch: Batch) -> dict[str, Loss]:
        """Minus the importance-weighted bound in nats, mean over images."""
        observed = self.observe(batch.images)
        log_weights = self._log_weights(observed, self.posterior(observed), self.config.particles)
        bound = importance_weighted_bound(log_weights).mean()
        return {"vae": Loss(-bound, {"negative_iwae_nats": -bound, "negative_elbo_nats": -log_weights.mean()})}

    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q(z|x)."""
        require_accepted(self, condition, len(images))
        features = self.encoder(images)
        return posterior_of(self.mean(features), self.log_var(features))

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the mean image of p(x|z)."""
        require_accepted(self, condition, len(latents))
        outputs = self.decoder(latents).float()
        return torch.sigmoid(outputs[:, : self.data.channels])

    def observe(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return binary pixels, dequantized levels in [0, 1], or the images themselves."""
        require_accepted(self, condition, len(images))
        if self.config.binarize:
            return torch.bernoulli(images)
        if self.config.likelihood == "gaussian":
            return (images * 255 + torch.rand_like(images)) / 256
        return images

    def elbo(self, observed: Tensor, condition: Condition = UNCONDITIONAL, particles: int = 1) -> ELBOTerms:
        """Analytic KL, and the mean distortion at samples of the posterior."""
        posterior = self.posterior(observed, condition)
        rate = kl_to_standard_normal(posterior.mean, posterior.log_var).sum(1)
        distortion = -self._log_likelihood_given(drawn(posterior, particles), observed).mean(0)
        return ELBOTerms(rate, distortion)

    def log_likelihood(self, observed: Tensor, particles: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Importance-weighted bound with exactly `particles` samples of q per image (Burda et al. 2015, eq. 8)."""
        if particles < 1:
            raise ValueError(f"particles is {particles}, expected at least 1")
        posterior = self.posterior(observed, condition)
        group = max(1, _CHUNK // observed.numel())
        counts = [min(group, particles - start) for start in range(0, particles, group)]
        log_weights = torch.cat([self._log_weights(observed, posterior, count) for count in counts])
        return LogLikelihood(importance_weighted_bound(log_weights), "lower bound")

    def _log_weights(self, observed: Tensor, posterior: Posterior, particles: int) -> Tensor:
        """Return log p(x|z) + log p(z) - log q(z|x) for fresh samples z of q: [k b]."""
        latents = drawn(posterior, particles)
        prior = standard_normal_log_density(latents)
        proposal = normal_log_density(latents, posterior.mean, posterior.log_var)
        return self._log_likelihood_given(latents, observed) + prior - proposal

    def _log_likelihood_given(self, latents: Tensor, observed: Tensor) -> Tensor:
        """Return log p(x|z) [k b] for latents [k b d] and observations [b c h w]."""
        particles = len(latents)
        outputs = self.decoder(latents.flatten(0, 1)).float()
        repeated = observed if particles == 1 else observed.repeat(particles, 1, 1, 1)
        return self._pixels(outputs, repeated).view(particles, -1)

    def _pixels(self, outputs: Tensor, observed: Tensor) -> Tensor:
        if self.config.likelihood == "bernoulli":
            return likelihood.bernoulli(outputs, observed)
        if self.log_sigma is not None:
            return likelihood.gaussian(torch.sigmoid(outputs), self.log_sigma.clamp(_LEAST_LOG_SIGMA), observed)
        mean, log_scale = outputs.chunk(2, dim=1)
        return likelihood.discretized_logistic(torch.sigmoid(mean), (log_scale - 2.0).clamp(-7.0, 7.0), observed)

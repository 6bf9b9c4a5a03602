"""Variational autoencoders (Kingma & Welling 2013) and their importance-weighted bound (Burda et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import ELBOTerms, LogLikelihood, Posterior
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import option
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.latent_variable import (
    LatentVariableConfig,
    LogLikelihoodGiven,
    PixelConfig,
    PixelDistribution,
    PixelLikelihood,
    estimated_log_likelihood,
    likelihood_for,
    log_weights,
)
from simulacra.games.own_networks import Concatenated, Half, checked_decoder, checked_encoder, named_family
from simulacra.games.variational import VariationalLatentSpace, drawn, posterior_of
from simulacra.networks.encoder_decoder import BY_SIZE, decoder, encoder
from simulacra.networks.mlp import dense
from simulacra.objectives.divergence import importance_weighted_bound, kl_to_standard_normal


@dataclass(frozen=True)
class ObjectiveConfig(PixelConfig):
    """Settings of a VAE, apart from those of its networks."""

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
        super().validate()


@dataclass(frozen=True)
class VAEConfig(ObjectiveConfig, LatentVariableConfig):  # in this order the fields of the networks come first
    """Settings of a VAE."""


class VAE(Family, VariationalLatentSpace, PixelLikelihood):
    """A latent-variable model p(x|z) N(z; 0, 1) with a diagonal Gaussian posterior q(z|x)."""

    Config: ClassVar[type[ObjectiveConfig]] = VAEConfig
    summary = "a probabilistic autoencoder: samples, reconstructs and bounds the likelihood"
    paper = "Kingma & Welling 2013; Burda et al. 2015"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "conv": {},
        "dense": {"network": "dense", "hidden": (400,), "latent_dim": 20},
        "iwae": {
            **{"network": "dense", "hidden": (200, 200), "latent_dim": 50, "activation": "tanh"},
            **{"binarize": True, "objective": "iwae", "particles": 5},
        },
        **BY_SIZE,
    }

    config: ObjectiveConfig

    def __init__(self, config: VAEConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.data, self.latent_dim = config, data, config.latent_dim
        trunk = config.trunk
        self.encoder, features = encoder(data, trunk)
        self.mean = dense(features, config.latent_dim)
        self.log_var = dense(features, config.latent_dim)
        self.pixels = PixelDistribution(config.likelihood, config.binarize, data.channels, data.dimensions)
        self.decoder = decoder(data, trunk, config.latent_dim, self.pixels.outputs)
        self.log_sigma = self.pixels.new_log_sigma()

    @classmethod
    def with_networks(cls, encoder: nn.Module, decoder: nn.Module, name: str = "OwnVAE") -> "type[VAE]":
        """Return this family with networks of one's own, to train with `simulacra.train`.

        encoder: from images [b c h w] in [0, 1] to mean and log-variance of q(z|x), as one tensor [b 2d] or as two [b d];
        decoder: from latents [b d] to logits of pixels [b c h w]; for likelihood `logistic` to [b 2c h w], the scales after the
        means. Every model starts from copies of them, with their weights. name: of the class. Raises UsageError when a model is
        made for images whose shape the networks do not fit.
        """

        class Own(VAE):
            """A VAE with networks of a user's own."""

            Config = ObjectiveConfig
            presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
            channels_last = False

            def __init__(self, config: ObjectiveConfig, data: DataSpec) -> None:
                Family.__init__(self)
                self.config, self.data = config, data
                self.encoder, values = checked_encoder(Concatenated(encoder), data)
                if values % 2:
                    raise UsageError(f"the encoder returns {values} values, expected mean and log-variance of every latent")
                self.latent_dim = values // 2
                self.add_module("mean", Half(0))
                self.add_module("log_var", Half(1))
                self.pixels = PixelDistribution(config.likelihood, config.binarize, data.channels, data.dimensions)
                self.decoder = checked_decoder(decoder, self.latent_dim, self.pixels.outputs, data)
                self.log_sigma = self.pixels.new_log_sigma()

        named_family(Own, name)
        return Own

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return the preset of the images' size, a learning rate for a short training, and the likelihood of their pixels."""
        return {**facts.of_size, "lr": 2e-3, **likelihood_for(facts)}

    @property
    def beta(self) -> float:
        """Weight of the KL in nats against the distortion in nats: `reduction = mean` multiplies beta by pixels / latents."""
        scale = self.data.dimensions / self.latent_dim if self.config.reduction == "mean" else 1.0
        return self.config.beta * scale

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
        weights = log_weights(self._given(observed), self.posterior(observed), self.config.particles)
        bound = importance_weighted_bound(weights).mean()
        return {"vae": Loss(-bound, {"negative_iwae_nats": -bound, "negative_elbo_nats": -weights.mean()})}

    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q(z|x)."""
        require_accepted(self, condition, len(images))
        features = self.encoder(images)
        return posterior_of(self.mean(features), self.log_var(features))

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the mean image of p(x|z)."""
        require_accepted(self, condition, len(latents))
        return self.pixels.mean(self.decoder(latents))

    def elbo(self, observed: Tensor, condition: Condition = UNCONDITIONAL, particles: int = 1) -> ELBOTerms:
        """Analytic KL, and the mean distortion at samples of the posterior."""
        posterior = self.posterior(observed, condition)
        rate = kl_to_standard_normal(posterior.mean, posterior.log_var).sum(1)
        distortion = -self._given(observed)(drawn(posterior, particles)).mean(0)
        return ELBOTerms(rate, distortion)

    def log_likelihood(self, observed: Tensor, particles: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Importance-weighted bound with exactly `particles` samples of q per image (Burda et al. 2015, eq. 8)."""
        posterior = self.posterior(observed, condition)
        nats = estimated_log_likelihood(self._given(observed), posterior, particles, observed.numel())
        return LogLikelihood(nats, "lower bound")

    def _given(self, observed: Tensor) -> LogLikelihoodGiven:
        """Return the function from latents [k b d] to log p(x|z) [k b] of observations [b c h w]."""

        def log_likelihood(latents: Tensor) -> Tensor:
            particles = len(latents)
            outputs = self.decoder(latents.flatten(0, 1)).float()
            repeated = observed if particles == 1 else observed.repeat(particles, 1, 1, 1)
            return self.pixels.log_likelihood(outputs, repeated, self.log_sigma).view(particles, -1)

        return log_likelihood

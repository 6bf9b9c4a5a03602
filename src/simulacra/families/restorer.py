"""Restorer: a conditional VAE that draws images given degraded ones (Sohn et al. 2015; Zhang et al. 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import ELBOTerms, HasPosterior, LogLikelihood, Posterior, Restores
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.randomness import Streams
from simulacra.core.training_facts import TrainingFacts
from simulacra.degradations import Draw, apply_one_of, parse_list
from simulacra.games.latent_variable import (
    PIXEL_KINDS,
    PixelDistribution,
    PixelLikelihood,
    estimated_log_likelihood,
    likelihood_for,
)
from simulacra.games.variational import drawn, latents_of, posterior_of, relative_to
from simulacra.networks.conditional_decoder import (
    ConditionalConfig,
    ConditionalDecoder,
    ConditionEncoder,
    ImageEncoder,
    repeated,
)
from simulacra.networks.mlp import dense
from simulacra.objectives.divergence import kl_between_normals

_REPEATED = 4  # memory of a decoded sample with the feature maps of its condition, compared with one without a condition


@dataclass(frozen=True)
class RestorerConfig(Config):
    """Settings of a restorer."""

    degradation: str = option(
        "quadrants:1,quadrants:2,quadrants:3",
        "degradation of the images, such as blur:1.5 or blur:1.5+noise:0.1; of several, separated by commas, each image gets one",
    )
    latent_dim: int = option(32, "number of latent dimensions", low=1)
    features: tuple[int, ...] = option((32, 64), "feature maps after each downsampling by 2", low=1)
    blocks: int = option(1, "residual blocks at each resolution below that of the image", low=0)
    hidden: tuple[int, ...] = option((256,), "widths of the dense layers of each encoder", low=1)
    likelihood: Literal["bernoulli", "gaussian", "logistic"] = option("bernoulli", PIXEL_KINDS)
    beta: float = option(1.0, "weight of the KL term", low=0)

    def validate(self) -> None:
        """Raise UsageError for degradations that cannot be parsed, and where there are no features."""
        parse_list(self.degradation)
        if not self.features:
            raise UsageError("features is empty: the network needs at least one number, such as 32,64")


@dataclass(frozen=True)
class _Given:
    """What the model computes from the degraded images, once for all latents.

    measured: the degraded image and `known`, float [b c+1 h w]; hidden: float [b 1 h w], 1 where a pixel is not known; prior:
    p(z | degraded); skips: feature maps that the decoder adds.
    """

    measured: Tensor
    hidden: Tensor
    prior: Posterior
    skips: list[Tensor]


class Restorer(Family, PixelLikelihood, Restores, HasPosterior):
    """A latent-variable model p(x | z, d) p(z | d) of images x given degraded images d, with a posterior q(z | x, d).

    All distributions of latents are diagonal Gaussians. Where pixels are known, they are not modelled: likelihoods are those of
    the hidden pixels. The noise of a restoration is the latent in units of the prior: z = prior mean + prior sigma * noise.
    """

    Config = RestorerConfig
    summary = "a conditional VAE that draws restorations of degraded images in one forward pass each"
    paper = "Sohn et al. 2015; Zhang et al. 2021"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "small": {},
        "medium": {
            **{"degradation": "downscale:2", "likelihood": "logistic"},
            **{"features": (64, 128, 256), "blocks": 2, "latent_dim": 128},
        },
    }
    degradations = "any"

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return feature maps for images of 48 pixels or more, and the likelihood of the images' pixels."""
        features: dict[str, object] = {"features": (16, 32, 64, 64)} if facts.preset == "64" else {}
        return {**features, **likelihood_for(facts)}

    def __init__(self, config: RestorerConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.data, self.latent_dim = config, data, config.latent_dim
        self.choices = parse_list(config.degradation)
        network = ConditionalConfig((data.height, data.width), config.features, config.blocks, config.hidden)
        measured = data.channels + 1  # the degraded image, and which pixels are known
        self.condition_encoder = ConditionEncoder(measured, network)
        self.prior = dense(network.width, 2 * config.latent_dim)
        self.posterior_encoder = ImageEncoder(data.channels + measured, network)
        self.posterior_head = dense(network.width, 2 * config.latent_dim)
        self.pixels = PixelDistribution(config.likelihood, False, data.channels, data.dimensions)
        self.decoder = ConditionalDecoder(config.latent_dim, self.pixels.outputs, network)
        self.log_sigma = self.pixels.new_log_sigma()

    @property
    def accepts(self) -> frozenset[str]:
        """The degraded image, and which of its pixels are known; the model needs both."""
        return frozenset({"image", "known"})

    @property
    def trained_degradations(self) -> tuple[str, ...]:
        """Names of the degradations of the settings."""
        return tuple(map(str, self.choices))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The noise is a latent in units of the prior: [latent_dim]."""
        return (self.latent_dim,)

    @property
    def target(self) -> str:
        """What the likelihood is of."""
        return f"hidden pixels given the degraded image ({self.config.degradation}): {super().target}"

    @property
    def nats_to_discrete(self) -> None:
        """None: the number of hidden pixels differs between images, so that bits per dimension have no meaning."""
        return

    def players(self) -> dict[str, nn.Module]:
        """Return one player: all networks maximize the same bound."""
        return {"restorer": self}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: the negative conditional ELBO."""
        return (Turn(self._losses),)

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        """Beta * rate + distortion of hidden pixels in nats, mean over images; degradations are drawn anew for each batch."""
        count, device = len(batch), batch.images.device
        condition = self._degraded(batch.images, lambda *shape: torch.randn(count, *shape, device=device))
        terms = self.elbo(self.observe(batch.images, condition), condition)
        rate, distortion = terms.rate.mean(), terms.distortion.mean()
        parts = {"negative_elbo_nats": rate + distortion, "rate_nats": rate, "distortion_nats": distortion}
        return {"restorer": Loss(self.config.beta * rate + distortion, parts)}

    def complete_condition(self, given: Condition, images: Tensor) -> Condition:
        """Return the condition of images [b c h w] degraded as in training, unless a degraded image is given.

        Which degradation an image gets, and what that draws, is a function of the image alone.
        """
        if given.image is not None:
            return given
        streams: list[Streams] = []  # created where numbers are drawn, since that takes longer than a mask

        def draw(*shape: int) -> Tensor:
            if not streams:
                streams.append(Streams(images))
            return streams[0].draw(*shape)

        derived = self._degraded(images, draw)
        return replace(given, image=derived.image, known=derived.known)

    def _degraded(self, images: Tensor, draw: Draw) -> Condition:
        degraded = apply_one_of(self.choices, images, draw)
        return Condition(image=degraded.image, known=degraded.known)

    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q(z | x, d) in units of the prior p(z | d), so that a posterior that ignores x is N(0, 1)."""
        given = self._given(condition, len(images))
        return relative_to(given.prior, self._posterior(images, given))

    def floor(self, observed: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor | None:
        """Return the entropy of hidden grey levels as Bernoulli means; None for other targets."""
        _, known = self._checked(condition, len(observed))
        return self.pixels.floor(observed, 1 - known)

    def elbo(self, observed: Tensor, condition: Condition = UNCONDITIONAL) -> ELBOTerms:
        """Analytic KL of the posterior to the prior, and the distortion of hidden pixels at a sample of the posterior."""
        given = self._given(condition, len(observed))
        posterior, prior = self._posterior(observed, given), given.prior
        rate = kl_between_normals(posterior.mean, posterior.log_var, prior.mean, prior.log_var).sum(1)
        distortion = -self._log_likelihood_given(drawn(posterior, 1), observed, given)[0]
        return ELBOTerms(rate, distortion)

    def log_likelihood(self, observed: Tensor, particles: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Importance-weighted bound with exactly `particles` samples of q per image (Burda et al. 2015, eq. 8)."""
        given = self._given(condition, len(observed))
        posterior = relative_to(given.prior, self._posterior(observed, given))
        bound = estimated_log_likelihood(
            lambda noise: self._log_likelihood_given(latents_of(given.prior, noise), observed, given),
            posterior,
            particles,
            _REPEATED * observed.numel(),
        )
        return LogLikelihood(bound, "lower bound")

    def restore(self, degraded: Tensor, known: Tensor, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the mean images of p(x | z, d) at latents of the prior, and the degraded image where pixels are known.

        `degraded` and `known` replace those of the condition.
        """
        given = self._given(replace(condition, image=degraded, known=known), len(noise))
        images = self.pixels.mean(self._outputs(latents_of(given.prior, noise), given))
        return torch.where(known > 0, degraded, images)

    def _given(self, condition: Condition, rows: int) -> _Given:
        """Encode a condition of so many images; raises UsageError where it is incomplete or has another shape."""
        image, known = self._checked(condition, rows)
        measured = torch.cat([image, known], 1)
        features, skips = self.condition_encoder(measured)
        return _Given(measured, 1 - known, posterior_of(*self.prior(features).chunk(2, 1)), skips)

    def _checked(self, condition: Condition, rows: int) -> tuple[Tensor, Tensor]:
        require_accepted(self, condition, rows)
        _, *size = self.data.shape
        for name, channels in (("image", self.data.channels), ("known", 1)):
            values = getattr(condition, name)
            if values is None:
                raise UsageError(
                    f"no condition {name}: a {type(self).__name__} needs a degraded image, and which pixels are known"
                )
            if list(values.shape[1:]) != [channels, *size]:
                expected = " ".join(map(str, (channels, *size)))
                raise UsageError(f"the condition {name} has shape {tuple(values.shape)}, expected [n {expected}]")
        assert condition.image is not None
        assert condition.known is not None
        return condition.image, condition.known

    def _posterior(self, observed: Tensor, given: _Given) -> Posterior:
        """Return q(z | x, d); where no pixel is hidden, x adds nothing and it is the prior."""
        features, _ = self.posterior_encoder(torch.cat([observed, given.measured], 1))
        posterior = posterior_of(*self.posterior_head(features).chunk(2, 1))
        informed = given.hidden.flatten(1).any(1, keepdim=True)
        return Posterior(
            torch.where(informed, posterior.mean, given.prior.mean),
            torch.where(informed, posterior.log_var, given.prior.log_var),
        )

    def _log_likelihood_given(self, latents: Tensor, observed: Tensor, given: _Given) -> Tensor:
        """Return log p(hidden pixels | z, d) [k b] for latents [k b d] and observations [b c h w]."""
        particles = len(latents)
        outputs = self._outputs(latents.flatten(0, 1), given)
        targets, hidden = repeated(observed, particles), repeated(given.hidden, particles)
        return self.pixels.log_likelihood(outputs, targets, self.log_sigma, hidden).view(particles, -1)

    def _outputs(self, latents: Tensor, given: _Given) -> Tensor:
        """Return the outputs of the decoder, float32, for latents [k*b d]."""
        times = len(latents) // len(given.hidden)
        outputs: Tensor = self.decoder(latents, [repeated(skip, times) for skip in given.skips])
        return outputs.float()

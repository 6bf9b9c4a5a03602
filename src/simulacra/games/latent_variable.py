"""Likelihoods of latent-variable models p(x|z) p(z): the distribution of pixels, importance weights and their bound."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from simulacra.core.capabilities import HasLikelihood, Posterior
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.variational import drawn
from simulacra.networks.encoder_decoder import EncoderDecoderConfig, NetworkConfig
from simulacra.objectives import likelihood
from simulacra.objectives.divergence import importance_weighted_bound, normal_log_density, standard_normal_log_density

PixelKind = Literal["bernoulli", "gaussian", "logistic"]
PIXEL_KINDS = "distribution of a pixel: bernoulli, gaussian (learned sigma), logistic (256 levels)"

_CHUNK = 4096 * 784  # pixel values per decoder call in `estimated_log_likelihood`
_LEAST_LOG_SIGMA = -6.0  # of the Gaussian likelihood: far below the width of a grey level
_MARGIN = 1.0  # by which the location of a logistic distribution can lie outside [0, 1]


@dataclass(frozen=True)
class _NetworkConfig(NetworkConfig):
    """Settings of the encoder and the decoder of a VAE."""

    activation: Literal["relu", "tanh", "silu"] = option("relu", "dense: activation function")

    @property
    def trunk(self) -> EncoderDecoderConfig:
        """The architecture that encoder and decoder share."""
        return replace(super().trunk, activation=self.activation)


@dataclass(frozen=True)
class PixelConfig(Config):
    """Settings of the distribution of pixels."""

    likelihood: Literal["bernoulli", "gaussian", "logistic"] = option("bernoulli", PIXEL_KINDS)
    binarize: bool = option(False, "bernoulli: sample binary pixels from the grey levels at every step (dynamic binarization)")

    def validate(self) -> None:
        """Raise UsageError where pixels are binarized and their distribution is not Bernoulli."""
        super().validate()
        if self.binarize and self.likelihood != "bernoulli":
            raise UsageError(f"binarize needs likelihood 'bernoulli', got {self.likelihood!r}")


def likelihood_for(facts: TrainingFacts) -> dict[str, object]:
    """Return the setting of the likelihood for images of one's own: Bernoulli only where nearly all pixels are black or white."""
    return {"likelihood": "bernoulli" if facts.black_and_white else "logistic"}


@dataclass(frozen=True)
class LatentVariableConfig(PixelConfig, _NetworkConfig):  # in this order the fields of the networks come first
    """Settings that VAEs share: encoder and decoder, and the distribution of pixels."""


@dataclass(frozen=True)
class PixelDistribution:
    """The distribution p(x|z) of independent pixels, whose parameters are the outputs of a decoder.

    kind: of a pixel; binarize: observations are binary pixels drawn from the grey levels; channels, dimensions: of an image.
    """

    kind: PixelKind
    binarize: bool
    channels: int
    dimensions: int

    @property
    def outputs(self) -> int:
        """Values that the decoder returns for each pixel position."""
        return self.channels * (2 if self.kind == "logistic" else 1)

    @property
    def target(self) -> str:
        """What the likelihood is of."""
        if self.binarize:
            return "dynamically binarized pixels"
        return {
            "bernoulli": "grey levels as Bernoulli means (not a likelihood of binary data)",
            "gaussian": "uniformly dequantized 256 grey levels (density)",
            "logistic": "256 grey levels (discretized logistic)",
        }[self.kind]

    @property
    def nats_to_discrete(self) -> float | None:
        """Log 256 per dimension for densities on [0, 1]; 0 for discrete likelihoods; None for Bernoulli pixels."""
        density = self.dimensions * math.log(256)
        return {"bernoulli": None, "gaussian": density, "logistic": 0.0}[self.kind]

    def new_log_sigma(self) -> nn.Parameter | None:
        """Return the logarithm of the learned sigma of Gaussian pixels, None for other distributions."""
        return nn.Parameter(torch.full((), math.log(0.1))) if self.kind == "gaussian" else None

    def observe(self, images: Tensor) -> Tensor:
        """Return binary pixels, dequantized levels in [0, 1], or the images [b c h w] themselves."""
        if self.binarize:
            return torch.bernoulli(images)
        if self.kind == "gaussian":
            return (images * 255 + torch.rand_like(images)) / 256
        return images

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the mean image [b c h w] in [0, 1] of p(x|z) for outputs [b outputs h w] of a decoder, in float32.

        For logistic pixels it is the location, limited to [0, 1].
        """
        if self.kind == "logistic":
            return _location(outputs.float()[:, : self.channels]).clamp(0, 1)
        return torch.sigmoid(outputs.float())

    def log_likelihood(
        self, outputs: Tensor, observed: Tensor, log_sigma: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Return log p(x|z) [b] of observations [b c h w].

        outputs: float32; log_sigma: that of Gaussian pixels; weight: of each pixel, [b 1 h w], None for 1.
        """
        if self.kind == "bernoulli":
            return likelihood.bernoulli(outputs, observed, weight)
        if log_sigma is not None:
            return likelihood.gaussian(torch.sigmoid(outputs), log_sigma.clamp(_LEAST_LOG_SIGMA), observed, weight)
        location, log_scale = outputs.chunk(2, dim=1)
        return likelihood.discretized_logistic(_location(location), (log_scale - 2.0).clamp(-7.0, 7.0), observed, weight)

    def floor(self, observed: Tensor, weight: Tensor | None = None) -> Tensor | None:
        """Return the least negative log-likelihood [b] of grey levels under Bernoulli pixels, their entropy; otherwise None."""
        return likelihood.bernoulli_entropy(observed, weight) if self.kind == "bernoulli" and not self.binarize else None


def _location(outputs: Tensor) -> Tensor:
    """Return locations of logistic distributions in (-1, 2), for outputs of any size.

    A location in (0, 1) leaves up to half of the mass outside the bin of a black or white pixel; one that lies a margin outside
    leaves exp(-margin / scale) at most. Salimans et al. 2017 do not bound the location at all.
    """
    return torch.sigmoid(outputs) * (1 + 2 * _MARGIN) - _MARGIN


class PixelLikelihood(HasLikelihood):
    """The parts of a likelihood that depend on the distribution of pixels alone."""

    pixels: PixelDistribution

    @property
    def target(self) -> str:
        """What the likelihood is of."""
        return self.pixels.target

    @property
    def nats_to_discrete(self) -> float | None:
        """Log 256 per dimension for densities on [0, 1]; 0 for discrete likelihoods; None for Bernoulli pixels."""
        return self.pixels.nats_to_discrete

    def observe(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return binary pixels, dequantized levels in [0, 1], or the images themselves."""
        require_accepted(self, condition, len(images))
        return self.pixels.observe(images)

    def floor(self, observed: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor | None:
        """Return the entropy of grey levels as Bernoulli means; None for other targets."""
        require_accepted(self, condition, len(observed))
        return self.pixels.floor(observed)


LogLikelihoodGiven = Callable[[Tensor], Tensor]
"""From latents [k b d] to log p(x|z) [k b] of the observations of b images."""


def log_weights(given: LogLikelihoodGiven, posterior: Posterior, particles: int) -> Tensor:
    """Return log p(x|z) + log p(z) - log q(z|x) for fresh samples z of q, with the prior N(0, 1): [k b]."""
    latents = drawn(posterior, particles)
    prior = standard_normal_log_density(latents)
    proposal = normal_log_density(latents, posterior.mean, posterior.log_var)
    return given(latents) + prior - proposal


def estimated_log_likelihood(given: LogLikelihoodGiven, posterior: Posterior, particles: int, values: int) -> Tensor:
    """Return the importance-weighted bound [b] with exactly `particles` samples of q per image (Burda et al. 2015, eq. 8).

    values: pixel values of the b images together, which determine how many samples are decoded in one call.
    """
    if particles < 1:
        raise ValueError(f"particles is {particles}, expected at least 1")
    group = max(1, _CHUNK // values)
    counts = [min(group, particles - start) for start in range(0, particles, group)]
    return importance_weighted_bound(torch.cat([log_weights(given, posterior, count) for count in counts]))

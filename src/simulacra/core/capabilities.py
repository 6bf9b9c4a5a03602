"""Capabilities: what a model can do, stated in its class header; applications, metrics and tests require nothing else of it.

Every method raises UsageError for a `condition` that the model does not accept.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast

import torch
from torch import Tensor

from simulacra.core.condition import UNCONDITIONAL, AcceptsCondition, Condition, require_accepted
from simulacra.core.errors import NotApplicable
from simulacra.core.pointer import explained_by


class Capability(AcceptsCondition, ABC):
    """Base class of the capabilities."""

    phrase: ClassVar[str]
    """The capability in words, as in 'interpolation is not applicable to GAN: it needs a latent space'."""


C = TypeVar("C", bound=Capability)


class Samples(Capability):
    """Generates images from noise."""

    phrase = "a generator of images from noise"

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise of one image."""

    @abstractmethod
    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1] from noise N(0, 1) [b *noise_shape]; labels not given are drawn uniformly from it."""


@dataclass(frozen=True)
class SamplingPlan:
    """Settings of an iterative sampler.

    sampler: its name; steps: number of steps; guidance_scale: classifier-free guidance scale, 1 disables guidance; eta: share of
    fresh noise in each step, for samplers that have it; precision: the type in which the network computes, all else is float32.
    """

    sampler: str
    steps: int
    guidance_scale: float = 1.0
    eta: float = 0.0
    precision: torch.dtype = torch.float32


class SamplesIteratively(Samples):
    """Generates images in several steps, by the plan of its settings or by another one."""

    phrase = "iterative sampling"
    samplers: tuple[str, ...]
    """Names of the samplers that a plan may name."""

    @property
    @abstractmethod
    def plan(self) -> SamplingPlan:
        """The plan that `generate` follows."""

    @abstractmethod
    def check(self, plan: SamplingPlan) -> None:
        """Raise UsageError for a plan that the model cannot follow."""

    @abstractmethod
    def evaluations(self, plan: SamplingPlan) -> int:
        """Return the number of network evaluations for one image; guidance doubles it."""

    @abstractmethod
    def sample_with_plan(self, noise: Tensor, condition: Condition, plan: SamplingPlan, advance: Callable[[], None]) -> Tensor:
        """Return images as `generate` does, by another plan; `advance` is called after each evaluation of the network.

        Fresh noise is drawn from a stream that is a function of the image's own `noise`. Raises UsageError for an invalid plan.
        """

    @abstractmethod
    def forward_process(self, images: Tensor, noise: Tensor, count: int, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] with increasing noise: [count b c h w] in [0, 1], the images first, noise last."""

    @abstractmethod
    def reverse_process(self, noise: Tensor, count: int, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return intermediate states of `generate`: [count b c h w] in [0, 1], noise first, the generated images last."""


class Restores(Capability):
    """Draws images given degraded ones."""

    phrase = "restoration"
    degradations: ClassVar[Literal["missing pixels", "any"]]
    """Which degradations it restores: missing pixels where all others keep their values, or any that it was trained on."""

    @property
    def trained_degradations(self) -> tuple[str, ...]:
        """Names of the degradations that it was trained on; empty for a model that was trained on images without any."""
        return ()

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise of one image."""

    @abstractmethod
    def restore(self, degraded: Tensor, known: Tensor, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1] given degraded images [b c h w] in [0, 1], from noise [b *noise_shape].

        known: float [b 1 h w], 1 where the degraded image has the pixels of the original: these are returned unchanged. Other
        noise gives other pixels elsewhere. condition: everything else that the model is given, such as labels.
        """


class LatentSpace(Capability):
    """Maps images to latents and back, deterministically."""

    phrase = "a latent space"
    prior: ClassVar[Literal["standard normal", "none"]]
    """The distribution of latents; it decides how latents are interpolated."""
    amortized: ClassVar[bool]
    """True: `encode` is one evaluation of an encoder. False: it inverts a sampler, in many evaluations and image dimensions."""
    latent_dim: int
    """Number of latent dimensions, d."""

    @abstractmethod
    def encode(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return latents [b d] of images [b c h w] in [0, 1]; the mean of the posterior where there is one."""

    @abstractmethod
    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1] of latents [b d]."""


class HasFeatures(Capability):
    """Computes features of noisy images, in a layer of the network that denoises them (Baranchuk et al. 2021)."""

    phrase = "features of a denoiser"

    @abstractmethod
    def features(self, images: Tensor, level: float, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return features [b d] of images [b c h w] in [0, 1], with noise of the time `level` in [0, 1], deterministically."""


class Reconstructs(Capability):
    """Reconstructs images."""

    phrase = "reconstruction"

    @abstractmethod
    def reconstruct(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return reconstructions [b c h w] in [0, 1], deterministically."""


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian over latents: mean and log_var [b d] (log_var is the logarithm of the variance)."""

    mean: Tensor
    log_var: Tensor


class HasPosterior(Capability):
    """Has an approximate posterior over its latents."""

    phrase = "a posterior"

    @abstractmethod
    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q(z | image) for images [b c h w] in [0, 1]."""


@dataclass(frozen=True)
class ELBOTerms:
    """The two terms of the negative ELBO, each [b] in nats per image: KL to the prior, and minus the expected log-likelihood."""

    rate: Tensor
    distortion: Tensor

    @property
    def negative_elbo(self) -> Tensor:
        """Rate plus distortion [b], in nats per image: an upper bound of -log p(image)."""
        return self.rate + self.distortion


@dataclass(frozen=True)
class LogLikelihood:
    """Log-likelihoods [b] in nats per image (larger is better) and whether they are exact."""

    nats: Tensor
    kind: Literal["exact", "lower bound", "estimate"]


class HasLikelihood(Capability):
    """Bounds the likelihood of images by an ELBO and by importance sampling."""

    phrase = "a likelihood"

    @property
    @abstractmethod
    def target(self) -> str:
        """What the likelihood is of, in words: binary pixels, grey levels, 256 levels."""

    @property
    @abstractmethod
    def nats_to_discrete(self) -> float | None:
        """Nats to add per image so that bits per dimension count 256 grey levels; None where that has no meaning."""

    @abstractmethod
    def observe(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the observation that is scored: the images, or a draw from them (binary pixels, dequantized levels)."""

    @abstractmethod
    def elbo(self, observed: Tensor, condition: Condition = UNCONDITIONAL) -> ELBOTerms:
        """Return the terms of the ELBO of observations [b c h w], with one latent sample each."""

    @abstractmethod
    def log_likelihood(self, observed: Tensor, particles: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Return log p of observations, estimated with exactly `particles` importance samples each."""

    def floor(self, observed: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor | None:
        """Return the least possible value [b] of the negative log-likelihood of observations, in nats; None where 0 or unknown.

        It is the entropy of the pixels where grey levels are the targets of Bernoulli pixels.
        """
        require_accepted(self, condition, len(observed))
        return None


class Classifies(Capability):
    """Gives the probability of every class."""

    phrase = "a classifier"

    @property
    @abstractmethod
    def has_classifier(self) -> bool:
        """Whether q(y | image) is a network of its own; otherwise it follows from the likelihoods by Bayes' rule."""

    @abstractmethod
    def class_log_probabilities(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return log q(y | image) [b c] in nats for images [b c h w] in [0, 1]; labels in the condition are not used.

        The c classes of several attributes are all combinations of their values, those of the last attribute varying fastest.
        """


@dataclass(frozen=True)
class DiffusionBound:
    """The terms of the variational bound of -log p of images of 256 levels, in nats per image.

    prior, decoder: [b], of the noisiest and of the least noisy level; steps: [b k], each an unbiased estimate of the mean cost of
    a step between levels, from k randomly drawn steps; times: [b k] in [0, 1], the times of these; count: the number of steps.
    """

    prior: Tensor
    decoder: Tensor
    steps: Tensor
    times: Tensor
    count: int

    @property
    def total(self) -> Tensor:
        """The bound [b] in nats per image: an unbiased estimate from the steps that were drawn."""
        return self.prior + self.decoder + self.count * self.steps.mean(1)


class HasDiffusionBound(Capability):
    """Bounds the likelihood of images of 256 levels by the terms of a diffusion, and estimates it by the probability flow."""

    phrase = "a diffusion bound"

    @abstractmethod
    def diffusion_bound(self, images: Tensor, draws: int, condition: Condition = UNCONDITIONAL) -> DiffusionBound:
        """Return the terms of the variational bound of images [b c h w] in [0, 1], with exactly `draws` steps of each."""

    @abstractmethod
    def flow_log_likelihood(self, images: Tensor, probes: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Return log p of images [b c h w] in [0, 1], uniformly dequantized, with exactly `probes` random directions each."""


class HasDiscriminator(Capability):
    """Has a discriminator, or a critic, that computes features of images."""

    phrase = "a discriminator"

    @abstractmethod
    def discriminator_features(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the input [b f] of the discriminator's last layer for images [b c h w] in [0, 1], which labels do not change."""


class Denoises(Capability):
    """Estimates images from noisy ones, at any noise level."""

    phrase = "a denoiser"

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise of one image."""

    @abstractmethod
    def denoise(self, images: Tensor, noise: Tensor, time: float, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the estimated images [b c h w] in [0, 1] of images [b c h w] in [0, 1] after noise is added to them.

        noise: standard normal [b *noise_shape]; time: of the noise level, from 0, no noise, to 1, noise alone.
        """


class Translates(Capability):
    """Translates images of one of its two domains to the other."""

    phrase = "translation"
    domains: ClassVar[tuple[str, ...]]
    """Names of the two domains, which are those of the family."""

    @abstractmethod
    def translate(self, images: Tensor, to: str, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c' h' w'] in [0, 1] of the domain `to` from images [b c h w] in [0, 1] of the other.

        Channels and size are each domain's own. Translation is deterministic. A translation depends on its own image alone.
        """


@dataclass(frozen=True)
class Need(Generic[C]):
    """A capability of which a class attribute must be True."""

    capability: type[C]
    attribute: str
    phrase: str


AMORTIZED_LATENT_SPACE = Need(LatentSpace, "amortized", "a latent space with an encoder")


def supports(model: object, need: type[Capability] | Need[Any]) -> bool:
    """Return whether a model, or a class of models, has a capability."""
    kind = model if isinstance(model, type) else type(model)
    if isinstance(need, Need):
        return issubclass(kind, need.capability) and bool(getattr(kind, need.attribute))
    return issubclass(kind, need)


def require(model: object, need: type[C] | Need[C], task: str) -> C:
    """Return the model as the capability, or raise NotApplicable."""
    if supports(model, need):
        return cast(C, model)
    raise NotApplicable(
        explained_by(f"{task} is not applicable to {type(model).__name__}: it needs {need.phrase}", "capabilities")
    )


def of(model_class: type) -> tuple[str, ...]:
    """Return the names of the capabilities in a class header, in alphabetical order."""
    return tuple(sorted(kind.__name__ for kind in ALL if issubclass(model_class, kind)))


_PARTS = (HasDiscriminator, Denoises)
_PROBABILISTIC = (HasPosterior, HasLikelihood, HasDiffusionBound, Classifies)
ALL: tuple[type[Capability], ...] = (
    Samples,
    SamplesIteratively,
    Restores,
    LatentSpace,
    HasFeatures,
    Reconstructs,
    *_PROBABILISTIC,
    *_PARTS,
    Translates,
)

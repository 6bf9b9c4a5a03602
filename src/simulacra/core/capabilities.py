"""What a model can do, stated in its class header; tasks, metrics and tests ask for nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor

from simulacra.core.errors import NotApplicable

Capability = TypeVar("Capability")


class Samples(ABC):
    """Turns noise into images."""

    classes: int = 0
    """How many classes `generate` takes labels of; 0 where labels make no difference."""

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise of one image."""

    @abstractmethod
    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images [b c h w] in [0, 1] from standard normal noise [b *noise_shape].

        labels: int64 [b] below `classes`; without them the noise draws the classes, each equally often.
        """


@dataclass(frozen=True)
class SamplingPlan:
    """How noise becomes an image step by step.

    sampler: its name; steps: how many; guidance: how decidedly of the class asked for, 1 as learned, more exaggerates it;
    eta: the share of fresh noise in each step, of samplers that take one; precision: the type in which the network computes,
    all else being float32.
    """

    sampler: str
    steps: int
    guidance_scale: float = 1.0
    eta: float = 0.0
    precision: torch.dtype = torch.float32


class SamplesIteratively(Samples):
    """Turns noise into images step by step, by a plan of its own or by another at each call."""

    samplers: ClassVar[tuple[str, ...]]
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
        """Return how often the network sees each image, counting one with and one without its class as two."""

    @abstractmethod
    def sample_with_plan(self, noise: Tensor, labels: Tensor | None, plan: SamplingPlan, advance: Callable[[], None]) -> Tensor:
        """Return what `generate` does, by another plan; `advance` is called after each evaluation of the network.

        Fresh noise is drawn from a stream that belongs to the image's own `noise`. Raises UsageError for a plan it cannot follow.
        """

    @abstractmethod
    def forward_process(self, images: Tensor, noise: Tensor, moments: int) -> Tensor:
        """Return images [b c h w] on their way to noise: [moments b c h w] in [0, 1], the images themselves first, noise last."""

    @abstractmethod
    def reverse_process(self, noise: Tensor, labels: Tensor | None, moments: int) -> Tensor:
        """Return what `generate` sees on its way: [moments b c h w] in [0, 1], noise first, the images that it returns last."""


class Restores(Samples):
    """Fills in what is missing of images, with what it makes of noise."""

    @abstractmethod
    def restore(self, images: Tensor, known: Tensor, noise: Tensor) -> Tensor:
        """Return images [b c h w] in [0, 1]: those given where `known`, bool [h w], is true, and made of noise elsewhere.

        noise: [b *noise_shape], as `generate` takes it; another noise may give another filling.
        """


class Inverts(ABC):
    """Finds the noise of images, as no encoder does: by many steps of the network, and in as many dimensions as an image has."""

    @abstractmethod
    def invert(self, images: Tensor) -> Tensor:
        """Return latents [b d], about standard normal, of images [b c h w] in [0, 1], deterministically."""

    @abstractmethod
    def revert(self, latents: Tensor) -> Tensor:
        """Return the images [b c h w] in [0, 1] that latents [b d] belong to, deterministically; of no class in particular."""


class Encodes(ABC):
    """Turns images into latent vectors, deterministically."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Return latents [b d] of images [b c h w] in [0, 1]; a posterior's mean where there is one."""


class Decodes(ABC):
    """Turns latent vectors into images."""

    prior: ClassVar[Literal["standard normal", "none"]]
    """The distribution that latents follow; it decides how latents are interpolated."""

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Number of latent dimensions, d."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Return images [b c h w] in [0, 1] of latents [b d]."""


class Reconstructs(ABC):
    """Returns its own version of given images."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return reconstructions [b c h w] in [0, 1], deterministically."""


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian over latents: mean and log_var [b d] (log_var is the logarithm of the variance)."""

    mean: Tensor
    log_var: Tensor


class HasPosterior(ABC):
    """Has an approximate posterior over its latents."""

    @abstractmethod
    def posterior(self, images: Tensor) -> Posterior:
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
    """Log-likelihoods [b] in nats per image (larger is better) and what kind of number they are."""

    nats: Tensor
    kind: Literal["exact", "lower bound", "estimate"]


class HasLikelihood(ABC):
    """Says how probable an image is."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What the likelihood is of, in words: binary pixels, grey levels, 256 levels."""

    @property
    @abstractmethod
    def nats_to_discrete(self) -> float | None:
        """Nats to add per image so that bits per dimension count 256 grey levels; None where that has no meaning."""

    @abstractmethod
    def observe(self, images: Tensor) -> Tensor:
        """Return the observation that is scored: the images, or a draw from them (binary pixels, dequantized levels)."""

    @abstractmethod
    def elbo(self, observed: Tensor) -> ELBOTerms:
        """Return the terms of the ELBO of observations [b c h w], with one latent sample each."""

    @abstractmethod
    def log_likelihood(self, observed: Tensor, particles: int) -> LogLikelihood:
        """Return log p of observations, estimated with exactly `particles` importance samples each."""


@dataclass(frozen=True)
class DiffusionBound:
    """What it costs to send images of 256 levels noise level by noise level, in nats: a bound of -log p, taken apart.

    prior, decoder: [b], of the noisiest and of the least noisy level; steps: [b k], each an unbiased estimate of what a step
    between levels costs on average, from k steps that were drawn; times: [b k] in [0, 1], where on the way these lie; count: how
    many steps there are.
    """

    prior: Tensor
    decoder: Tensor
    steps: Tensor
    times: Tensor
    count: int

    @property
    def total(self) -> Tensor:
        """The bound [b] in nats per image, estimated without bias by the steps that were drawn."""
        return self.prior + self.decoder + self.count * self.steps.mean(1)


class HasDiffusionBound(ABC):
    """Says how probable an image of 256 levels is, step by step or by the flow that carries it to noise."""

    @abstractmethod
    def diffusion_bound(self, images: Tensor, draws: int) -> DiffusionBound:
        """Return the terms of the variational bound of images [b c h w] in [0, 1], with exactly `draws` steps of each."""

    @abstractmethod
    def flow_log_likelihood(self, images: Tensor, probes: int) -> LogLikelihood:
        """Return log p of images [b c h w] in [0, 1], uniformly dequantized, with exactly `probes` random directions each."""


class Translates(ABC):
    """Turns images of one of its two domains into images of the other."""

    domains: ClassVar[tuple[str, ...]]
    """Names of the two domains, which are those of the family."""

    @abstractmethod
    def translate(self, images: Tensor, to: str) -> Tensor:
        """Return images [b c' h' w'] in [0, 1] of the domain `to` from images [b c h w] in [0, 1] of the other, always the same.

        Channels and size are each domain's own. A translation depends on its own image alone.
        """


def require(model: object, capability: type[Capability], task: str) -> Capability:
    """Return the model as the capability, or raise NotApplicable."""
    if isinstance(model, capability):
        return model
    raise NotApplicable(f"{task} is not applicable to {type(model).__name__}: it needs {capability.__name__}")


def of(model_class: type) -> tuple[str, ...]:
    """Return the names of the capabilities in a class header, in alphabetical order."""
    return tuple(sorted(kind.__name__ for kind in ALL if issubclass(model_class, kind)))


ALL: tuple[type, ...] = (
    Samples,
    SamplesIteratively,
    Restores,
    Inverts,
    Encodes,
    Decodes,
    Reconstructs,
    HasPosterior,
    HasLikelihood,
    HasDiffusionBound,
    Translates,
)

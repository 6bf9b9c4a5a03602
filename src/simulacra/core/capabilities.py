"""What a model can do, stated in its class header; tasks, metrics and tests ask for nothing else."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

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
    def latents(self) -> int:
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


class Infers(ABC):
    """Has an approximate posterior over its latents."""

    @abstractmethod
    def posterior(self, images: Tensor) -> Posterior:
        """Return q(z | image) for images [b c h w] in [0, 1]."""


@dataclass(frozen=True)
class Evidence:
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


class ScoresLikelihood(ABC):
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
    def evidence(self, observed: Tensor) -> Evidence:
        """Return the terms of the ELBO of observations [b c h w], with one latent sample each."""

    @abstractmethod
    def log_likelihood(self, observed: Tensor, particles: int) -> LogLikelihood:
        """Return log p of observations, estimated with exactly `particles` importance samples each."""


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


ALL: tuple[type, ...] = (Samples, Encodes, Decodes, Reconstructs, Infers, ScoresLikelihood, Translates)

"""Losses of adversarial games: pure functions of logits.

`real` and `fake` are what a discriminator says of real and of generated images: float32 [b], any real number, larger for what it
holds to be real. Every loss is a float32 scalar, a mean over images, and is to be lowered.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from simulacra.core.errors import UsageError


def minimax_discriminator_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return -log D(real) - log(1 - D(fake)) in nats, D being the sigmoid of a logit (Goodfellow et al. 2014, eq. 1).

    `smoothing` lowers the target of real images from 1 to 1 - smoothing, and leaves that of fakes at 0: else the discriminator
    would reward fakes where real images are rare (Salimans et al. 2016, section 3.4).
    """
    return (F.softplus(-real) + smoothing * real).mean() + F.softplus(fake).mean()


def saturating_generator_loss(fake: Tensor) -> Tensor:
    """Return log(1 - D(fake)) in nats: flat where the discriminator is sure of itself (Goodfellow et al. 2014, eq. 1)."""
    return -F.softplus(fake).mean()


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """Return -log D(fake) in nats: steep where the discriminator is sure of itself (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def hinge_discriminator_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return max(0, 1 - real) + max(0, 1 + fake) (Lim & Ye 2017; Miyato et al. 2018, eq. 16); it knows no smoothing."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def least_squares_discriminator_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return half of (real - 1)^2 + fake^2 (Mao et al. 2016, eq. 9); the target of real images is 1 - smoothing."""
    return 0.5 * ((real - 1 + smoothing) ** 2).mean() + 0.5 * (fake**2).mean()


def least_squares_generator_loss(fake: Tensor) -> Tensor:
    """Return half of (fake - 1)^2 (Mao et al. 2016, eq. 9)."""
    return 0.5 * ((fake - 1) ** 2).mean()


def wasserstein_critic_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean of fake minus the mean of real: minus the Wasserstein-1 distance, at the best critic of slope 1.

    (Arjovsky et al. 2017, eq. 2.) It means nothing for a critic whose slope has no bound; it knows no smoothing.
    """
    return fake.mean() - real.mean()


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """Return minus the mean of fake (Arjovsky et al. 2017, section 3; with a hinge, Miyato et al. 2018, eq. 17)."""
    return -fake.mean()


@dataclass(frozen=True)
class Criterion:
    """A pair of losses.

    boundary: the logit above which an image is held to be real, None where the loss sets none; smooths: whether the target of
    real images can be lowered; certain: the logit below which a fake is told for certain, None where the loss has no such thing.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor], Tensor]
    boundary: float | None
    smooths: bool
    certain: float | None


_HUNDREDTH = -math.log(99)  # the logit at which D is 0.01, and the slope of log(1 - D) a hundredth of that of log D

CRITERIA: Mapping[str, Criterion] = {
    "non-saturating": Criterion(minimax_discriminator_loss, non_saturating_generator_loss, 0.0, True, _HUNDREDTH),
    "saturating": Criterion(minimax_discriminator_loss, saturating_generator_loss, 0.0, True, _HUNDREDTH),
    "hinge": Criterion(hinge_discriminator_loss, wasserstein_generator_loss, 0.0, False, -1.0),
    "least-squares": Criterion(least_squares_discriminator_loss, least_squares_generator_loss, 0.5, True, None),
    "wasserstein": Criterion(wasserstein_critic_loss, wasserstein_generator_loss, None, False, None),
}


def check_smoothing(loss: str, smoothing: float) -> None:
    """Raise UsageError for smoothing with a loss that has no targets to smooth."""
    if smoothing and not CRITERIA[loss].smooths:
        raise UsageError(f"smoothing is {smoothing}, and the {loss} loss has no targets to smooth: leave it at 0")


def verdict(real: Tensor, fake: Tensor, boundary: float | None, certain: float | None = None) -> dict[str, Tensor]:
    """Return what is logged of a discriminator: its mean logits and, where there is a boundary, its share of right answers.

    saturation: the share of fakes below `certain`. Of the minimax game these are the ones with D below 0.01, from which
    log(1 - D) teaches a generator nothing (Goodfellow et al. 2014, section 3; Arjovsky & Bottou 2017, theorem 2.4); of the hinge,
    those beyond the margin, from which the discriminator learns nothing more.
    """
    parts = {"real_logit": real.mean(), "fake_logit": fake.mean()}
    if boundary is not None:
        parts |= {"real_accuracy": (real > boundary).float().mean(), "fake_accuracy": (fake < boundary).float().mean()}
    if certain is not None:
        parts["saturation"] = (fake < certain).float().mean()
    return parts

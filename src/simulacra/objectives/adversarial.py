"""Adversarial losses as functions of discriminator logits.

`real` and `fake` are the logits of real and generated images: float32, any shape, larger for images classified as real. Every
loss is a float32 scalar, a mean over logits, to be minimized.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from simulacra.core.errors import UsageError


def minimax_discriminator_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return -log D(real) - log(1 - D(fake)) in nats, with D the sigmoid of the logit (Goodfellow et al. 2014, eq. 1).

    One-sided label smoothing: targets are 1 - smoothing for real, 0 for generated images (Salimans et al. 2016, section 3.4).
    """
    return (F.softplus(-real) + smoothing * real).mean() + F.softplus(fake).mean()


def saturating_generator_loss(fake: Tensor) -> Tensor:
    """Return log(1 - D(fake)) in nats (Goodfellow et al. 2014, eq. 1); its gradient vanishes for confident discriminators."""
    return -F.softplus(fake).mean()


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """Return -log D(fake) in nats (Goodfellow et al. 2014, section 3); its gradient is large for confident discriminators."""
    return F.softplus(-fake).mean()


def hinge_discriminator_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return max(0, 1 - real) + max(0, 1 + fake) (Lim & Ye 2017; Miyato et al. 2018, eq. 16); `smoothing` is ignored."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def least_squares_discriminator_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return ((real - 1)^2 + fake^2) / 2 (Mao et al. 2016, eq. 9); the target of real images is 1 - `smoothing`."""
    return 0.5 * ((real - 1 + smoothing) ** 2).mean() + 0.5 * (fake**2).mean()


def least_squares_generator_loss(fake: Tensor) -> Tensor:
    """Return (fake - 1)^2 / 2 (Mao et al. 2016, eq. 9)."""
    return 0.5 * ((fake - 1) ** 2).mean()


def wasserstein_critic_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return mean(fake) - mean(real) (Arjovsky et al. 2017, eq. 2); `smoothing` is ignored.

    For the optimal 1-Lipschitz critic this is minus the Wasserstein-1 distance; without a Lipschitz bound it has no meaning.
    """
    return fake.mean() - real.mean()


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """Return -mean(fake) (Arjovsky et al. 2017, section 3; for the hinge loss, Miyato et al. 2018, eq. 17)."""
    return -fake.mean()


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of a discriminator and of a generator.

    boundary: the logit above which an image is classified as real, None if the loss defines none; supports_smoothing: whether the
    target of real images can be smoothed; saturation_logit: the logit below which a generated image counts as saturated (see
    `discriminator_statistics`), None if the loss does not saturate.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor], Tensor]
    boundary: float | None
    supports_smoothing: bool
    saturation_logit: float | None


_MINIMAX_SATURATION = -math.log(99)  # D = 0.01, where the saturating loss has 1/99 of the non-saturating loss's gradient

ADVERSARIAL_LOSSES: Mapping[str, AdversarialLoss] = {
    "non-saturating": AdversarialLoss(minimax_discriminator_loss, non_saturating_generator_loss, 0.0, True, _MINIMAX_SATURATION),
    "saturating": AdversarialLoss(minimax_discriminator_loss, saturating_generator_loss, 0.0, True, _MINIMAX_SATURATION),
    "hinge": AdversarialLoss(hinge_discriminator_loss, wasserstein_generator_loss, 0.0, False, -1.0),
    "least-squares": AdversarialLoss(least_squares_discriminator_loss, least_squares_generator_loss, 0.5, True, None),
    "wasserstein": AdversarialLoss(wasserstein_critic_loss, wasserstein_generator_loss, None, False, None),
}


def check_smoothing(loss: str, smoothing: float) -> None:
    """Raise UsageError if `smoothing` is not 0 and the loss does not support label smoothing."""
    if smoothing and not ADVERSARIAL_LOSSES[loss].supports_smoothing:
        raise UsageError(f"smoothing is {smoothing}, and the {loss} loss has no targets to smooth: leave it at 0")


def discriminator_statistics(
    real: Tensor, fake: Tensor, boundary: float | None, saturation_logit: float | None = None
) -> dict[str, Tensor]:
    """Return statistics of logits to log: mean logits, and if there is a boundary, the accuracy on real and generated images.

    `saturation` is the fraction of generated images with logits below `saturation_logit`. For the minimax losses these have
    D < 0.01, where the gradient of log(1 - D) vanishes (Goodfellow et al. 2014, section 3; Arjovsky & Bottou 2017, theorem 2.4);
    for the hinge loss they lie beyond the margin, where the discriminator's gradient is zero.
    """
    parts = {"real_logit": real.mean(), "fake_logit": fake.mean()}
    if boundary is not None:
        parts |= {"real_accuracy": (real > boundary).float().mean(), "fake_accuracy": (fake < boundary).float().mean()}
    if saturation_logit is not None:
        parts["saturation"] = (fake < saturation_logit).float().mean()
    return parts

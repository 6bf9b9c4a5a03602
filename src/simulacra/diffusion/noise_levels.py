"""Noise levels: how much of an image and how much noise a noisy image consists of.

    noisy = alpha * image + sigma * noise,        image in [-1, 1], noise standard normal

Everything else in this folder speaks of levels only, so that it holds for every process of this form: variance-preserving ones
(alpha^2 + sigma^2 = 1, Ho et al. 2020), variance-exploding ones (alpha = 1, Karras et al. 2022) and the straight paths of flow
matching (alpha = 1 - time, sigma = time, Lipman et al. 2022).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Level:
    """One noise level, or several: tensors of one shape, float64. `time` in [0, 1] is what a network is told, 1 the noisiest."""

    time: Tensor
    alpha: Tensor
    sigma: Tensor

    @property
    def log_snr(self) -> Tensor:
        """Logarithm of the signal-to-noise ratio alpha^2 / sigma^2: +inf without noise, -inf without an image."""
        return 2 * (self.alpha.log() - self.sigma.log())

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio alpha^2 / sigma^2."""
        return (self.alpha / self.sigma) ** 2

    def __len__(self) -> int:
        """Return how many levels these are."""
        return len(self.time)

    def __getitem__(self, index: int | slice | Tensor) -> "Level":
        """Return one of the levels, or some."""
        return Level(self.time[index], self.alpha[index], self.sigma[index])

    def __iter__(self) -> Iterator["Level"]:
        """Yield one level after the other."""
        return (self[index] for index in range(len(self)))

    def reversed(self) -> "Level":
        """Return the levels in the opposite order."""
        return Level(self.time.flip(0), self.alpha.flip(0), self.sigma.flip(0))

    def of(self, images: Tensor) -> "Level":
        """Return the level as a factor of images [b ...]: on their device, in their type, a scalar or of shape [b 1 ...]."""
        return Level(*(over(part, images) for part in (self.time, self.alpha, self.sigma)))


Path = Callable[[Tensor], Level]
"""From times in [0, 1] to their noise levels, noisier the later."""


def over(values: Tensor, images: Tensor) -> Tensor:
    """Return values [] or [b] so that they multiply images [b ...]: in their type, on their device, as [] or [b 1 ...]."""
    cast = values.to(images.device, images.dtype)
    return cast.reshape(cast.shape + (1,) * (images.ndim - 1)) if cast.ndim else cast


def noised(images: Tensor, noise: Tensor, level: Level) -> Tensor:
    """Return alpha * image + sigma * noise (Ho et al. 2020, eq. 4), one level for all [] or one for each [b]."""
    at = level.of(images)
    return at.alpha * images + at.sigma * noise


def variance_preserving(log_snr: Callable[[Tensor], Tensor]) -> Path:
    """Return the path with alpha^2 + sigma^2 = 1 of a schedule: alpha^2 = sigmoid(log SNR) (Kingma et al. 2021, eq. 4)."""

    def path(time: Tensor) -> Level:
        ratio = log_snr(time.double())
        return Level(time.double(), torch.sigmoid(ratio).sqrt(), torch.sigmoid(-ratio).sqrt())

    return path


def variance_exploding(log_snr: Callable[[Tensor], Tensor]) -> Path:
    """Return the path with alpha = 1 of a schedule: sigma^2 = exp(-log SNR) (Karras et al. 2022)."""

    def path(time: Tensor) -> Level:
        ratio = log_snr(time.double())
        return Level(time.double(), torch.ones_like(ratio), torch.exp(-0.5 * ratio))

    return path


def straight(time: Tensor) -> Level:
    """Return the levels of the straight path from image to noise: alpha = 1 - time, sigma = time (Lipman et al. 2022, eq. 22).

    Our time runs from the image to the noise, as in diffusion; theirs runs the other way. Their sigma_min is 0 here.
    """
    time = time.double()
    return Level(time, 1 - time, time)


def clean(levels: Level) -> Level:
    """Return levels [n] with one more behind them, that of the image itself: alpha 1, sigma 0, time 0."""
    end = Level(*(torch.tensor([value], dtype=torch.float64) for value in (0.0, 1.0, 0.0)))
    return Level(*(torch.cat(pair) for pair in zip(_parts(levels), _parts(end), strict=True)))


def _parts(level: Level) -> tuple[Tensor, Tensor, Tensor]:
    return level.time, level.alpha, level.sigma

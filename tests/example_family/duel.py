"""A small game of two players, found like any family: a critic that moves twice on fresh batches, and a generator."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import Samples
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.family import Family, Loss, Turn


@dataclass(frozen=True)
class DuelConfig(Config):
    """Settings of a duel."""

    width: int = option(16, "hidden units of both players", low=1)


class Duel(Family, Samples):
    """Batch norm in the generator, dropout in the critic: state and draws that a resume must not forget."""

    Config = DuelConfig
    summary = "two players"
    paper = "Goodfellow et al. 2014"

    def __init__(self, config: DuelConfig, data: DataSpec) -> None:
        super().__init__()
        width, pixels = config.width, data.dimensions
        norm = nn.BatchNorm1d(width)
        self.generator = nn.Sequential(
            nn.Linear(8, width), norm, nn.ReLU(), nn.Linear(width, pixels), nn.Sigmoid(), nn.Unflatten(1, data.shape)
        )
        self.critic = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.Dropout(0.3), nn.ReLU(), nn.Linear(width, 1))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Eight numbers."""
        return (8,)

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images of noise."""
        require_accepted(self, condition, len(noise))
        images: Tensor = self.generator(noise)
        return images.float()

    def players(self) -> dict[str, nn.Module]:
        """Critic and generator."""
        return {"critic": self.critic, "generator": self.generator}

    def turns(self) -> tuple[Turn, ...]:
        """The critic twice, then the generator."""
        return (Turn(self._judge, repeats=2), Turn(self._forge))

    def _judge(self, batch: Batch) -> dict[str, Loss]:
        fakes = self.generator(torch.randn(len(batch), 8)).detach()
        real, fake = self.critic(batch.images).float(), self.critic(fakes).float()
        return {"critic": Loss(nn.functional.softplus(fake).mean() + nn.functional.softplus(-real).mean())}

    def _forge(self, batch: Batch) -> dict[str, Loss]:
        fake = self.critic(self.generator(torch.randn(len(batch), 8))).float()
        return {"generator": Loss(nn.functional.softplus(-fake).mean())}

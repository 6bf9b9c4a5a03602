"""Small families for every kind of game, and a batch source of random images."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.batch_source import UnpairedBatches
from simulacra.core.config import Config
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.randomness import generator

SPEC = DataSpec(1, 4, 4)


class NoiseBatches:
    """Batch i is noise drawn from (seed, i). asked: the numbers of the batches that were requested."""

    def __init__(self, size=8, per_epoch=5, seed=0):
        self.size, self.per_epoch, self.seed = size, per_epoch, seed
        self.asked: list[int] = []

    def batch(self, i, device="cpu"):
        self.asked.append(i)
        return Batch(torch.rand(self.size, *SPEC.shape, generator=generator(self.seed, "feed", i)).to(device))


def batch_source_for(family):
    return (
        UnpairedBatches({name: NoiseBatches(seed=index) for index, name in enumerate(family.domains)})
        if family.domains
        else NoiseBatches()
    )


@dataclass(frozen=True)
class NoConfig(Config):
    """No settings."""


class AlternatingGame(Family):
    """The critic is updated three times on new batches, then the generator once; uses noise and dropout."""

    Config = NoConfig
    summary, paper = "an alternating game", "tests"

    def __init__(self, config=None, data=SPEC):
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(4, data.dimensions), nn.BatchNorm1d(data.dimensions), nn.Unflatten(1, data.shape)
        )
        self.critic = nn.Sequential(nn.Flatten(), nn.Linear(data.dimensions, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
        self.noises: list[torch.Tensor] = []

    def players(self):
        return {"critic": self.critic, "generator": self.generator}

    def turns(self):
        return (Turn(self.critic_loss, repeats=3), Turn(self.generator_loss))

    def _fakes(self, count):
        noise = torch.randn(count, 4)
        self.noises.append(noise)
        return self.generator(noise)

    def critic_loss(self, batch):
        fakes = self._fakes(len(batch)).detach()
        return {"critic": Loss(self.critic(fakes).mean() - self.critic(batch.images).mean() + 0.1 * self._penalty())}

    def generator_loss(self, batch):
        return {"generator": Loss(-self.critic(self._fakes(len(batch))).mean())}

    def _penalty(self):
        return sum(parameter.square().sum() for parameter in self.critic.parameters())


class SimultaneousGame(Family):
    """Encoder, decoder and discriminator are updated together, each on its own loss, with one shared graph."""

    Config = NoConfig
    summary, paper = "a simultaneous game", "tests"

    def __init__(self, config=None, data=SPEC):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(data.dimensions, 3))
        self.decoder = nn.Sequential(nn.Linear(3, data.dimensions), nn.Unflatten(1, data.shape))
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(data.dimensions, 1))

    def players(self):
        return {"encoder": self.encoder, "decoder": self.decoder, "discriminator": self.discriminator}

    def turns(self):
        return (Turn(self.losses),)

    def losses(self, batch):
        codes = self.encoder(batch.images)
        made = self.decoder(codes + 0.1 * torch.randn_like(codes))
        error = F.mse_loss(made, batch.images)
        discriminator_loss = F.softplus(self.discriminator(made)).mean() + F.softplus(-self.discriminator(batch.images)).mean()
        return {
            "encoder": Loss(error + 0.1 * codes.square().mean(), {"error": error}),
            "decoder": Loss(0.5 * error - discriminator_loss, {"error": error}),
            "discriminator": Loss(discriminator_loss),
        }


class UnpairedGame(Family):
    """Two domains with independent batches: first the generators are updated, then the discriminators."""

    Config = NoConfig
    summary, paper = "a game of two domains", "tests"
    domains = ("a", "b")

    def __init__(self, config=None, data=SPEC):
        super().__init__()
        self.generators = nn.ModuleDict({name: nn.Conv2d(1, 1, 3, padding=1) for name in ("to_a", "to_b")})
        self.discriminators = nn.ModuleDict({name: nn.Conv2d(1, 1, 2) for name in ("a", "b")})

    def players(self):
        return {"generators": self.generators, "discriminators": self.discriminators}

    def turns(self):
        return (Turn(self.generators_loss), Turn(self.discriminators_loss))

    def generators_loss(self, batch):
        to_a, to_b = self.generators["to_a"], self.generators["to_b"]
        cycle = F.l1_loss(to_a(to_b(batch["a"].images)), batch["a"].images)
        cycle = cycle + F.l1_loss(to_b(to_a(batch["b"].images)), batch["b"].images)
        fooled = sum(self._real(name, made) for name, made in self._made(batch).items())
        return {"generators": Loss(fooled + 10 * cycle, {"cycle": cycle})}

    def discriminators_loss(self, batch):
        made = self._made(batch)
        losses = [
            self._real(name, batch[name].images) + self.discriminators[name](made[name].detach()).square().mean() for name in "ab"
        ]
        return {"discriminators": Loss(torch.stack(losses).sum())}

    def _made(self, batch):
        return {"a": self.generators["to_a"](batch["b"].images), "b": self.generators["to_b"](batch["a"].images)}

    def _real(self, name, images):
        return (self.discriminators[name](images) - 1).square().mean()

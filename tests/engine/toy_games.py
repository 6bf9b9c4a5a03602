"""Small families that play every kind of game the engine must carry, and a batch_source of numbered random images."""

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


class NoiseFeed:
    """Batch i is noise drawn from (seed, i); it remembers which batches were asked for."""

    def __init__(self, size=8, per_epoch=5, seed=0):
        self.size, self.per_epoch, self.seed = size, per_epoch, seed
        self.asked: list[int] = []

    def batch(self, i, device="cpu"):
        self.asked.append(i)
        return Batch(torch.rand(self.size, *SPEC.shape, generator=generator(self.seed, "feed", i)).to(device))


def feed_for(family):
    return (
        UnpairedBatches({name: NoiseFeed(seed=index) for index, name in enumerate(family.domains)})
        if family.domains
        else NoiseFeed()
    )


@dataclass(frozen=True)
class NoConfig(Config):
    """No settings."""


class Duel(Family):
    """Alternating: the critic moves three times on fresh batches, then the generator once; noise and dropout are drawn."""

    Config = NoConfig
    summary, paper = "a duel", "tests"

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
        return (Turn(self.judge, repeats=3), Turn(self.forge))

    def _fakes(self, count):
        noise = torch.randn(count, 4)
        self.noises.append(noise)
        return self.generator(noise)

    def judge(self, batch):
        fakes = self._fakes(len(batch)).detach()
        return {"critic": Loss(self.critic(fakes).mean() - self.critic(batch.images).mean() + 0.1 * self._penalty())}

    def forge(self, batch):
        return {"generator": Loss(-self.critic(self._fakes(len(batch))).mean())}

    def _penalty(self):
        return sum(parameter.square().sum() for parameter in self.critic.parameters())


class Trio(Family):
    """Simultaneous: encoder, decoder and judge move at once, each on its own loss, over one shared graph."""

    Config = NoConfig
    summary, paper = "a trio", "tests"

    def __init__(self, config=None, data=SPEC):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(data.dimensions, 3))
        self.decoder = nn.Sequential(nn.Linear(3, data.dimensions), nn.Unflatten(1, data.shape))
        self.judge = nn.Sequential(nn.Flatten(), nn.Linear(data.dimensions, 1))

    def players(self):
        return {"encoder": self.encoder, "decoder": self.decoder, "judge": self.judge}

    def turns(self):
        return (Turn(self.losses),)

    def losses(self, batch):
        codes = self.encoder(batch.images)
        made = self.decoder(codes + 0.1 * torch.randn_like(codes))
        error = F.mse_loss(made, batch.images)
        verdict = F.softplus(self.judge(made)).mean() + F.softplus(-self.judge(batch.images)).mean()
        return {
            "encoder": Loss(error + 0.1 * codes.square().mean(), {"error": error}),
            "decoder": Loss(0.5 * error - verdict, {"error": error}),
            "judge": Loss(verdict),
        }


class Exchange(Family):
    """UnpairedBatches: two domains, translators then critics; the batches of the domains are independent."""

    Config = NoConfig
    summary, paper = "an exchange", "tests"
    domains = ("a", "b")

    def __init__(self, config=None, data=SPEC):
        super().__init__()
        self.translators = nn.ModuleDict({name: nn.Conv2d(1, 1, 3, padding=1) for name in ("to_a", "to_b")})
        self.critics = nn.ModuleDict({name: nn.Conv2d(1, 1, 2) for name in ("a", "b")})

    def players(self):
        return {"translators": self.translators, "critics": self.critics}

    def turns(self):
        return (Turn(self.translate), Turn(self.judge))

    def translate(self, batch):
        to_a, to_b = self.translators["to_a"], self.translators["to_b"]
        cycle = F.l1_loss(to_a(to_b(batch["a"].images)), batch["a"].images)
        cycle = cycle + F.l1_loss(to_b(to_a(batch["b"].images)), batch["b"].images)
        fooled = sum(self._real(name, made) for name, made in self._made(batch).items())
        return {"translators": Loss(fooled + 10 * cycle, {"cycle": cycle})}

    def judge(self, batch):
        made = self._made(batch)
        losses = [self._real(name, batch[name].images) + self.critics[name](made[name].detach()).square().mean() for name in "ab"]
        return {"critics": Loss(torch.stack(losses).sum())}

    def _made(self, batch):
        return {"a": self.translators["to_a"](batch["b"].images), "b": self.translators["to_b"](batch["a"].images)}

    def _real(self, name, images):
        return (self.critics[name](images) - 1).square().mean()

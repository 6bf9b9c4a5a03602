"""CycleGAN: translation between two domains of which no two images are known to correspond (Zhu et al. 2017)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import Translates
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.family import Family, Loss, Turn
from simulacra.networks.cyclegan import Translator, blocks_for, patch_critic
from simulacra.networks.image_pool import ImagePool
from simulacra.objectives.adversarial import CRITERIA, verdict
from simulacra.objectives.cycle_consistency import absolute_difference, translator_loss

_CRITICS = CRITERIA["least-squares"]


@dataclass(frozen=True)
class CycleGANConfig(Config):
    """Settings of a CycleGAN."""

    features: int = option(64, "feature maps of the translators' first layer; doubled at each halving", low=1)
    blocks: int = option(0, "residual blocks of a translator; 0 takes 9 from 256 pixels on, else 6", low=0)
    halvings: int = option(2, "halvings of the image within a translator", low=0, high=6)
    critic_features: int = option(64, "feature maps of the critics' first layer; doubled at each further one", low=1)
    cycle: float = option(10.0, "weight of the cycle loss, lambda", low=0)
    identity: float = option(
        0.5, "weight of the identity loss, as a share of that of the cycle loss; none where domains differ in shape", low=0
    )
    pool: int = option(50, "generated images of each domain that are kept to be shown to its critic again; 0 keeps none", low=0)


class CycleGAN(Family, Translates):
    """Two translators that undo each other, and a critic of each domain that tells translations from real images.

    Everything that belongs to one domain stands under its name: the translator into it, its critic, the pool of its fakes.
    """

    Config = CycleGANConfig
    summary = "translates between two domains, learnt from images that do not correspond"
    paper = "Zhu et al. 2017"
    domains = ("a", "b")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "small": {"features": 16, "blocks": 3, "halvings": 1, "critic_features": 32},
    }
    defaults: ClassVar[Mapping[str, object]] = {
        "lr": 2e-4,
        "beta1": 0.5,
        "batch": 1,
        "schedule": "linear",
        "warmup": 0.0,
        "precision": "float32",
    }

    def __init__(self, config: CycleGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        specs = {name: data.domain(name) for name in self.domains}
        self.translators = nn.ModuleDict({to: _translator(config, specs[self._other(to)], specs[to]) for to in self.domains})
        self.critics = nn.ModuleDict({name: patch_critic(spec, config.critic_features) for name, spec in specs.items()})
        self.pools = nn.ModuleDict({name: ImagePool(config.pool, spec.shape) for name, spec in specs.items()})
        self.alike = len({spec.shape for spec in specs.values()}) == 1

    def players(self) -> dict[str, nn.Module]:
        """Return both translators, and both critics."""
        return {"translators": self.translators, "critics": self.critics}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn in which all move on the same translations.

        The authors' program moves the translators first, and then shows the critics the translations that it made before. These
        are the same moves: the critics' loss sees the translators only through translations made earlier. One turn saves the
        second pass.
        """
        return (Turn(self._losses),)

    def translate(self, images: Tensor, to: str, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images of the domain `to` from images of the other."""
        require_accepted(self, condition, len(images))
        translated: Tensor = self.translators[to](images)
        return translated

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        real = {name: batch[name].images for name in self.domains}
        fakes = {to: self.translate(real[self._other(to)], to) for to in self.domains}
        return {"translators": self._translators_loss(real, fakes), "critics": self._critics_loss(real, fakes)}

    def _translators_loss(self, real: Mapping[str, Tensor], fakes: Mapping[str, Tensor]) -> Loss:
        """Adversarial loss, plus lambda times the cycle loss, plus lambda times its share of the identity loss (eq. 3, 5.2)."""
        weights = {"adversarial": 1.0, "cycle": self.config.cycle, "identity": self.config.cycle * self.config.identity}
        parts = {"adversarial": _sum(translator_loss(self._judge(name, fakes[name])) for name in self.domains)}
        returned = {name: self.translate(fakes[self._other(name)], name) for name in self.domains}
        parts["cycle"] = _sum(absolute_difference(real[name], returned[name]) for name in self.domains)
        if self.alike and weights["identity"]:
            parts["identity"] = _sum(absolute_difference(real[to], self.translate(real[to], to)) for to in self.domains)
        return Loss(_sum(weights[name] * part for name, part in parts.items()), parts)

    def _critics_loss(self, real: Mapping[str, Tensor], fakes: Mapping[str, Tensor]) -> Loss:
        """Half of (real - 1)^2 + fake^2 for each domain (section 7.1), of fakes from the pool."""
        judged = {name: self._judge(name, real[name]) for name in self.domains}
        shown = {name: self._judge(name, self.pools[name](fakes[name])) for name in self.domains}
        total = _sum(_CRITICS.discriminator(judged[name], shown[name], 0.0) for name in self.domains)
        return Loss(total, verdict(_all(judged), _all(shown), _CRITICS.boundary))

    def _judge(self, name: str, images: Tensor) -> Tensor:
        logits: Tensor = self.critics[name](images)
        return logits.float()

    def _other(self, name: str) -> str:
        first, second = self.domains
        return second if name == first else first


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


def _all(logits: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([domain.flatten() for domain in logits.values()])


def _translator(config: CycleGANConfig, source: DataSpec, target: DataSpec) -> Translator:
    blocks = config.blocks or blocks_for(max(source.height, target.height), max(source.width, target.width))
    return Translator(source, target, config.features, blocks, config.halvings)

"""CycleGAN: translation between two domains, trained on unpaired images (Zhu et al. 2017)."""

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
from simulacra.core.training_facts import TrainingFacts
from simulacra.networks.cyclegan import ResNetGenerator, patch_discriminator, residual_block_count
from simulacra.networks.image_pool import ImagePool
from simulacra.objectives.adversarial import ADVERSARIAL_LOSSES, discriminator_statistics
from simulacra.objectives.cycle_consistency import generator_loss, l1_distance

_LOSS = ADVERSARIAL_LOSSES["least-squares"]


@dataclass(frozen=True)
class CycleGANConfig(Config):
    """Settings of a CycleGAN."""

    features: int = option(64, "feature maps of the generators' first layer; doubled at each downsampling", low=1)
    blocks: int = option(0, "residual blocks of a generator; 0: 9 for images of at least 256 pixels, else 6", low=0)
    downsamplings: int = option(2, "downsamplings by 2 in a generator", low=0, high=6)
    discriminator_features: int = option(
        64, "feature maps of the discriminators' first layer; doubled at each further one", low=1
    )
    cycle: float = option(10.0, "weight (lambda) of the cycle consistency loss", low=0)
    identity: float = option(
        0.5, "weight of the identity loss relative to the cycle loss; not used if the domains differ in shape", low=0
    )
    pool: int = option(50, "size of the pool of earlier generated images for each discriminator; 0 disables it", low=0)


class CycleGAN(Family, Translates):
    """Two generators, inverse to each other, and a discriminator for each domain.

    Generators, discriminators and pools are stored under the name of a domain: that of the images they generate or classify.
    """

    Config = CycleGANConfig
    summary = "translates between two domains, trained on unpaired images"
    paper = "Zhu et al. 2017"
    domains = ("a", "b")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "small": {"features": 16, "blocks": 3, "downsamplings": 1, "discriminator_features": 32},
    }
    defaults: ClassVar[Mapping[str, object]] = {
        **{"lr": 2e-4, "beta1": 0.5, "schedule": "linear", "warmup": 0.0},
        **{"batch": 1, "precision": "float32"},
    }

    def __init__(self, config: CycleGANConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        specs = {name: data.domain(name) for name in self.domains}
        self.generators = nn.ModuleDict({to: _generator(config, specs[self._other(to)], specs[to]) for to in self.domains})
        self.discriminators = nn.ModuleDict(
            {name: patch_discriminator(spec, config.discriminator_features) for name, spec in specs.items()}
        )
        self.pools = nn.ModuleDict({name: ImagePool(config.pool, spec.shape) for name, spec in specs.items()})
        self.same_shape = len({spec.shape for spec in specs.values()}) == 1

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return the small preset on CPUs, where the network of the paper does few steps in an hour."""
        return {"preset": "paper" if facts.gpu else "small"}

    def players(self) -> dict[str, nn.Module]:
        """Return the generators and the discriminators, each pair as one player."""
        return {"generators": self.generators, "discriminators": self.discriminators}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn of both players on the same translations.

        The authors' implementation updates the generators first, and then the discriminators on the translations computed before
        that update. Both give the same updates: the discriminators' loss depends on the generators only through them.
        """
        return (Turn(self._losses),)

    def translate(self, images: Tensor, to: str, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images of the domain `to` from images of the other."""
        require_accepted(self, condition, len(images))
        return self.generators[to](images)

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        real = {name: batch[name].images for name in self.domains}
        fakes = {to: self.translate(real[self._other(to)], to) for to in self.domains}
        return {"generators": self._generators_loss(real, fakes), "discriminators": self._discriminators_loss(real, fakes)}

    def _generators_loss(self, real: Mapping[str, Tensor], fakes: Mapping[str, Tensor]) -> Loss:
        """Adversarial loss, plus lambda times the cycle loss, plus lambda times its share of the identity loss (eq. 3, 5.2)."""
        weights = {"adversarial": 1.0, "cycle": self.config.cycle, "identity": self.config.cycle * self.config.identity}
        parts = {"adversarial": _sum(generator_loss(self._logits(name, fakes[name])) for name in self.domains)}
        returned = {name: self.translate(fakes[self._other(name)], name) for name in self.domains}
        parts["cycle"] = _sum(l1_distance(real[name], returned[name]) for name in self.domains)
        if self.same_shape and weights["identity"]:
            parts["identity"] = _sum(l1_distance(real[to], self.translate(real[to], to)) for to in self.domains)
        return Loss(_sum(weights[name] * part for name, part in parts.items()), parts)

    def _discriminators_loss(self, real: Mapping[str, Tensor], fakes: Mapping[str, Tensor]) -> Loss:
        """Half of (real - 1)^2 + fake^2 for each domain (section 7.1), with fakes from the pool."""
        real_logits = {name: self._logits(name, real[name]) for name in self.domains}
        fake_logits = {name: self._logits(name, self.pools[name](fakes[name])) for name in self.domains}
        total = _sum(_LOSS.discriminator(real_logits[name], fake_logits[name], 0.0) for name in self.domains)
        return Loss(total, discriminator_statistics(_all(real_logits), _all(fake_logits), _LOSS.boundary))

    def _logits(self, name: str, images: Tensor) -> Tensor:
        logits: Tensor = self.discriminators[name](images)
        return logits.float()

    def _other(self, name: str) -> str:
        first, second = self.domains
        return second if name == first else first


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


def _all(logits: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([domain.flatten() for domain in logits.values()])


def _generator(config: CycleGANConfig, source: DataSpec, target: DataSpec) -> ResNetGenerator:
    blocks = config.blocks or residual_block_count(max(source.height, target.height), max(source.width, target.width))
    return ResNetGenerator(source, target, config.features, blocks, config.downsamplings)

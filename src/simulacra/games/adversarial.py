"""The game of two: a discriminator tells real images from generated ones, a generator is trained to be believed.

A family makes the two networks; this plays their turns. The networks are asked for

    generator(noise [b d], labels [b] or None) -> images float32 [b c h w] in [0, 1]
    discriminator(images [b c*pack h w], labels [b] or None) -> logits float32 [b], larger for real.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.objectives.adversarial import ADVERSARIAL_LOSSES, check_smoothing, discriminator_statistics
from simulacra.objectives.augmentation import AUGMENTATIONS, augment, parse_augmentations
from simulacra.objectives.gradient_penalty import zero_centered_penalty


@dataclass(frozen=True)
class AdversarialConfig(Config):
    """Settings that all games of two share."""

    loss: Literal["non-saturating", "saturating", "hinge", "least-squares", "wasserstein"] = option(
        "non-saturating", "what the two minimize; saturating is the minimax game as first written"
    )
    smoothing: float = option(0.0, "how far the target of real images lies below 1; fakes keep theirs", low=0, high=0.5)
    r1: float = option(0.0, "gamma of the penalty on the discriminator's slope at real images; 0 leaves it out", low=0)
    spectral_norm: bool = option(False, "divide each weight matrix of the discriminator by its largest singular value")
    augment: str = option("", f"what both sides are shown through: {', '.join(AUGMENTATIONS)}, several with commas")
    pack: int = option(1, "images that the discriminator judges together, stacked as channels", low=1)
    simultaneous: bool = option(False, "both move at once on the same fakes: one pass of the generator a step, not two")
    conditional: bool = option(False, "learn each class of labelled images apart, and generate the class that is asked for")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        parse_augmentations(self.augment)
        check_smoothing(self.loss, self.smoothing)
        if self.loss == "wasserstein" and not (self.spectral_norm or self.r1):
            raise UsageError("loss 'wasserstein' needs a discriminator of bounded slope: add --spectral-norm, or use wgan_gp")
        if self.pack > 1 and self.conditional:
            raise UsageError(f"pack is {self.pack} and conditional is on: images that are judged together would need one class")


@dataclass(frozen=True)
class AdversarialTurns:
    """The turns of a generator and a discriminator, players of these names."""

    generator: nn.Module
    discriminator: nn.Module
    config: AdversarialConfig
    noise: int

    def turns(self) -> tuple[Turn, ...]:
        """Return the discriminator's turn and the generator's (Goodfellow et al. 2014, algorithm 1), or one of both."""
        if self.config.simultaneous:
            return (Turn(self._both),)
        return (Turn(self._discriminate), Turn(self._generate))

    def _discriminate(self, batch: Batch) -> dict[str, Loss]:
        labels = given_labels(batch, self.config.conditional)
        with torch.no_grad():  # trap 6: the generator needs no graph here
            fakes = self._fakes(batch, labels)
        return {"discriminator": self._discriminator_loss(batch, labels, self._judge(self._seen(fakes), labels))}

    def _generate(self, batch: Batch) -> dict[str, Loss]:
        labels = given_labels(batch, self.config.conditional)
        return {"generator": self._generator_loss(self._judge(self._seen(self._fakes(batch, labels)), labels))}

    def _both(self, batch: Batch) -> dict[str, Loss]:
        """Both losses of the same fakes; the engine differentiates each along its own player's parameters alone."""
        labels = given_labels(batch, self.config.conditional)
        fake = self._judge(self._seen(self._fakes(batch, labels)), labels)
        return {
            "discriminator": self._discriminator_loss(batch, labels, fake),
            "generator": self._generator_loss(fake),
        }

    def _discriminator_loss(self, batch: Batch, labels: Tensor | None, fake: Tensor) -> Loss:
        criterion = ADVERSARIAL_LOSSES[self.config.loss]
        seen = self._seen(batch.images)
        real = self._judge(seen, labels)
        total = criterion.discriminator(real, fake, self.config.smoothing)
        parts = discriminator_statistics(real, fake, criterion.boundary, criterion.saturation_logit)
        if self.config.r1:
            parts["r1"] = zero_centered_penalty(lambda points: self._judge(points, labels), seen)
            total = total + self.config.r1 * parts["r1"]
        return Loss(total, parts)

    def _generator_loss(self, fake: Tensor) -> Loss:
        return Loss(ADVERSARIAL_LOSSES[self.config.loss].generator(fake))

    def _judge(self, seen: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.discriminator(seen, labels)
        return logits

    def _seen(self, images: Tensor) -> Tensor:
        return packed(augment(images, parse_augmentations(self.config.augment)), self.config.pack)

    def _fakes(self, batch: Batch, labels: Tensor | None) -> Tensor:
        images: Tensor = self.generator(torch.randn(len(batch), self.noise, device=batch.images.device), labels)
        return images


class AdversarialGame(Family):
    """A family of two networks that play a duel; its constructor makes them."""

    generator: nn.Module
    discriminator: nn.Module
    config: AdversarialConfig
    noise: int
    """Dimensions of the generator's noise."""

    def players(self) -> dict[str, nn.Module]:
        """Return the discriminator and the generator."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def turns(self) -> tuple[Turn, ...]:
        """Return the discriminator's turn, then the generator's."""
        return AdversarialTurns(self.generator, self.discriminator, self.config, self.noise).turns()


def given_labels(batch: Batch, conditional: bool) -> Tensor | None:
    """Return the labels of a batch, None for games without classes; raises UsageError where they are needed and absent."""
    if not conditional:
        return None
    if batch.labels is None:
        raise UsageError("the model is conditional, and these images have no labels: leave --conditional out, or label them")
    return batch.labels


def packed(images: Tensor, count: int) -> Tensor:
    """Return images [b c h w] in packs of `count`, stacked as channels: [ceil(b / count) count*c h w] (Lin et al. 2017).

    Where the last pack lacks images, it takes the first ones once more.
    """
    if count == 1:
        return images
    packs = -(-len(images) // count)
    order = torch.arange(packs * count, device=images.device) % len(images)
    return images[order].unflatten(0, (packs, count)).flatten(1, 2)
